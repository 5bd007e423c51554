#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/mapped_file.h"
#include "adapters/files/placed_tensors.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// One entry of a safetensors header, checked.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t begin = 0, end = 0;  ///< bytes of the file
};

/// "F32", "BF16", "F8_E4M3", …
std::string_view safetensors_name(DType dtype);

/// A mapped .safetensors file whose header has been read and checked: nothing is allocated on the header's word.
/// Format: huggingface/safetensors (README, "Format"); offsets must cover the data without holes or overlaps.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_->path(); }
  const std::deque<SafetensorsEntry>& entries() const { return entries_; }  ///< in the order of their bytes
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Borrows the mapping; copies only what is small and not aligned to its elements.
  Tensor tensor(const SafetensorsEntry& entry) const;
  const MappedFile& file() const { return *file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::deque<SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// What a tensor will be, before its bytes are there.
struct TensorDeclaration {
  std::string name;
  DType dtype;
  Shape shape;
};

/// Writes a .safetensors file in a stream: all tensors are declared first, their bytes come piece by piece in any order
/// of tensors. The file appears under its name with `finish`; before, and on failure, the old one stays.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, std::span<const TensorDeclaration> tensors,
                    const std::map<std::string, std::string>& metadata = {});
  /// Adds bytes to the end of what this tensor has so far. Throws Error(invalid_argument) for an undeclared tensor or
  /// more bytes than declared, Error(io_error) where the system refuses.
  void append(std::string_view name, std::span<const std::byte> bytes) { data_.append(name, bytes); }
  /// All of a dense tensor, from any layout.
  void append(std::string_view name, const Tensor& tensor) { data_.append(name, tensor); }
  /// Throws Error(invalid_argument) where a tensor is not complete.
  void finish() { data_.finish(); }

 private:
  PlacedTensors data_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
