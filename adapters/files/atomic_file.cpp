#include "adapters/files/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? std::filesystem::path(".") : parent;
}

// A hidden name that nobody has, on the same file system as the name it will get: `make` says by errno EEXIST that
// somebody has it after all.
template <class Make>
std::filesystem::path temporary_beside(const std::filesystem::path& path, Make make) {
  static std::atomic<unsigned> counter{0};
  for (;;) {
    const auto name = fmt::format(".{}.{}-{}.tmp", path.filename().string(), ::getpid(), counter++);
    std::filesystem::path candidate = folder_of(path) / name;
    if (make(candidate)) return candidate;
    if (errno != EEXIST) io_failure(path, "cannot be written", errno);
  }
}

std::filesystem::path temporary_folder_beside(const std::filesystem::path& path) {
  return temporary_beside(path, [](const auto& name) { return ::mkdir(name.c_str(), 0777) == 0; });
}

/// A rename replaces whatever has the name: of a link that must be what it points to, and a device is no file.
std::filesystem::path replaceable(std::filesystem::path path) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(status)) return path;
  if (std::filesystem::is_other(status)) refuse(ErrorCode::io_error, path, "", "is not a regular file");
  if (std::filesystem::is_symlink(path, ignored)) return std::filesystem::canonical(path, ignored);
  return path;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(replaceable(std::move(path))) {
  temporary_ = temporary_beside(path_, [&](const auto& name) {
    fd_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd_ >= 0;
  });
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) { write_at(size_, bytes); }

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    // One call writes at most 2 GiB on Linux.
    const std::size_t count = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
    const ssize_t written = ::pwrite(fd_, bytes.data(), count, static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      io_failure(path_, "cannot be written", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
    size_ = std::max(size_, offset);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) io_failure(path_, "cannot be written", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) io_failure(path_, "cannot be replaced", errno);
  ::close(std::exchange(fd_, -1));
  sync_folder(folder_of(path_));
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) io_failure(folder, "cannot be opened", errno);
  const int result = ::fsync(fd);
  const int error_number = errno;
  ::close(fd);
  // Some file systems cannot sync a folder; the rename stands all the same.
  if (result != 0 && error_number != EINVAL && error_number != ENOTSUP)
    io_failure(folder, "cannot be synced", error_number);
}

AtomicFolder::AtomicFolder(std::filesystem::path folder, bool replace) : folder_(std::move(folder)), replace_(replace) {
  folder_ = folder_.lexically_normal();
  if (!folder_.has_filename()) folder_ = folder_.parent_path();  // "out/" is "out"
  std::error_code ignored;
  const auto status = std::filesystem::symlink_status(folder_, ignored);
  if (std::filesystem::exists(status)) {
    if (!replace_) refuse(ErrorCode::io_error, folder_, "", "exists already; --force replaces it");
    if (!std::filesystem::is_directory(status)) refuse(ErrorCode::io_error, folder_, "", "exists and is not a folder");
  }
  temporary_ = temporary_folder_beside(folder_);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_) std::filesystem::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  sync_folder(temporary_);
  // A folder is not replaced by rename: the old one steps aside first, and comes back should the second step fail.
  std::filesystem::path old;
  if (replace_ && std::filesystem::exists(folder_)) {
    old = temporary_folder_beside(folder_);
    if (::rename(folder_.c_str(), old.c_str()) != 0) {
      const int error_number = errno;
      ::rmdir(old.c_str());
      io_failure(folder_, "cannot be replaced", error_number);
    }
  }
  if (::rename(temporary_.c_str(), folder_.c_str()) != 0) {
    const int error_number = errno;
    if (!old.empty()) ::rename(old.c_str(), folder_.c_str());
    io_failure(folder_, "cannot be written", error_number);
  }
  committed_ = true;
  std::error_code ignored;
  if (!old.empty()) std::filesystem::remove_all(old, ignored);
  sync_folder(folder_of(folder_));
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
