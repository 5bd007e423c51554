#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace nibble {
inline namespace v0 {
namespace files {

/// A whole file mapped read-only. Tensors that borrow from it keep it alive through `shared_from_this`.
class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  /// Throws Error(io_error) where the file cannot be read, Error(invalid_file) for something that is not a plain file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  const std::byte* data() const { return data_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  /// Tells the system that these bytes will not be read again soon, so that streaming through a large file does not
  /// count as memory in use. Bytes that are not this file's are passed over.
  void forget(std::span<const std::byte> bytes) const;

 private:
  MappedFile() = default;

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The text of a small file, at most `limit` bytes. Throws Error(io_error | invalid_file).
std::string read_small_file(const std::filesystem::path& path, std::uint64_t limit);

}  // namespace files
}  // namespace v0
}  // namespace nibble
