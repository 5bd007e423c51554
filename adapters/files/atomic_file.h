#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace nibble {
inline namespace v0 {
namespace files {

/// A file that appears under its name all at once: written beside it under a temporary name, made durable, renamed.
/// Until `commit` returns, and for ever if it is never called, whatever had the name before stays. The new one has the
/// old one's permissions, and stands where a link of that name points. What a process that was killed left under its
/// temporary name goes when the same name is written the next time.
class AtomicFile {
 public:
  /// Throws Error(io_error) where the folder is missing or not writable.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws Error(io_error), as on a full disk.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Writes at an offset, in any order; what is never written reads as zeros.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  std::uint64_t size() const { return size_; }
  /// The first half of `commit`, which may fail as on a full disk: for files that are to appear together.
  void make_durable();
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// A whole file at once, atomically.
void write_file(const std::filesystem::path& path, std::string_view text);
/// Makes a folder's entries durable.
void sync_folder(const std::filesystem::path& folder);

/// A folder that appears under its name all at once, as AtomicFile does: `path()` is where to write until `commit`.
class AtomicFolder {
 public:
  /// Throws Error(io_error) where the folder exists (unless `replace`) or its parent is not writable.
  AtomicFolder(std::filesystem::path folder, bool replace);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const std::filesystem::path& path() const { return temporary_; }
  void commit();

 private:
  void replace_in_two_steps();

  std::filesystem::path folder_, temporary_;  ///< the second is empty once there is nothing to remove
  bool replace_;
  int lock_ = -1;  ///< on the temporary folder
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
