#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "adapters/files/atomic_file.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// The data of a file of tensors that have got their places before their bytes come, piece by piece in any order of
/// tensors. The file appears under its name with `finish`; before, and on failure, the old one stays.
class PlacedTensors {
 public:
  /// `container` is what errors call the file.
  PlacedTensors(const std::filesystem::path& path, std::string container);

  /// False where the name has a place already.
  bool place(const std::string& name, DType dtype, std::uint64_t begin, std::uint64_t bytes);
  /// What stands before the data, and is as long as all places were told to leave.
  void write_header(std::string_view bytes) { file_.write(bytes); }
  /// Makes the file as long as that, were there no bytes at its end.
  void extend_to(std::uint64_t size) { file_.write_at(size - 1, std::as_bytes(std::span("", 1))); }
  /// Adds bytes to the end of what this tensor has so far. Throws Error(invalid_argument) for a tensor without a place
  /// or more bytes than that has, Error(io_error) where the system refuses.
  void append(std::string_view name, std::span<const std::byte> bytes);
  /// All of a dense tensor, from any layout.
  void append(std::string_view name, const Tensor& tensor);
  /// The first half of `finish`, which is what may fail: for files that are to appear together. Throws
  /// Error(invalid_argument) where a tensor is not complete.
  void complete();
  void finish();

 private:
  struct Slot {
    std::uint64_t next = 0, end = 0;
    DType dtype = DType::f32;
  };
  Slot& slot_of(std::string_view name);

  AtomicFile file_;
  std::string container_;
  std::map<std::string, Slot, std::less<>> slots_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
