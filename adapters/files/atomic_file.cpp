#include "adapters/files/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include "adapters/files/file_error.h"
#include "adapters/files/paths.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

// Who writes under a temporary name holds a lock on it, which goes with the process however that ends: what is not
// locked was left behind. (Where a file system has no locks, nothing is ever taken for left behind.)

/// A hidden name on the same file system as the name it will get.
std::string temporary_name(const std::filesystem::path& path, std::string_view suffix) {
  static std::atomic<unsigned> counter{0};
  return fmt::format(".{}.{}-{}{}", path.filename().string(), ::getpid(), counter++, suffix);
}
constexpr std::string_view kTemporary = ".tmp";

bool is_temporary_of(const std::filesystem::path& path, std::string_view name) {
  const std::string head = fmt::format(".{}.", path.filename().string());
  if (!name.starts_with(head) || !name.ends_with(kTemporary) || name.size() < head.size() + kTemporary.size())
    return false;
  const auto middle = name.substr(head.size(), name.size() - head.size() - kTemporary.size());
  return !middle.empty() && middle.find_first_not_of("0123456789-") == middle.npos;
}

/// Removes what processes that were killed left of earlier attempts to write `path`.
void remove_leftovers(const std::filesystem::path& path) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_of(path), ignored)) {
    if (!is_temporary_of(path, entry.path().filename().string())) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) std::filesystem::remove_all(entry.path(), ignored);
    ::close(fd);
  }
}

/// Locks what was just made under `name`; false where it was taken for left behind before it was locked.
bool lock(int fd, const std::filesystem::path& name) {
  ::flock(fd, LOCK_EX);
  struct stat held = {}, found = {};
  return ::fstat(fd, &held) == 0 && ::stat(name.c_str(), &found) == 0 && held.st_ino == found.st_ino;
}

/// A name beside `path` that nobody has, and what `make` opened there; it says by errno EEXIST that somebody has it
/// after all.
template <class Make>
std::pair<std::filesystem::path, int> temporary_beside(const std::filesystem::path& path, Make make) {
  remove_leftovers(path);
  for (;;) {
    std::filesystem::path candidate = folder_of(path) / temporary_name(path, kTemporary);
    const int fd = make(candidate);
    if (fd < 0 && errno != EEXIST) io_failure(path, "cannot be written", errno);
    if (fd >= 0 && lock(fd, candidate)) return {candidate, fd};
    if (fd >= 0) ::close(fd);
  }
}

int open_folder(const std::filesystem::path& folder) {
  return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/// A rename replaces whatever has the name: of a link that must be what it points to, be it there or not, and a device
/// is no file.
std::filesystem::path replaceable(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_other(std::filesystem::status(path, ignored)))
    refuse(ErrorCode::io_error, path, "", "is not a regular file");
  std::filesystem::path end = path;
  for (int links = 0; std::filesystem::is_symlink(end, ignored); ++links) {
    constexpr int kMostLinks = 40;  // Linux's
    if (links == kMostLinks) io_failure(path, "cannot be written", ELOOP);
    end = folder_of(end) / std::filesystem::read_symlink(end, ignored);  // an absolute one stands alone
  }
  return end;
}

}  // namespace

/// Who could not read the file before cannot read the new one either, not even while it is being written.
AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(replaceable(path)) {
  struct stat old = {};
  const bool is_new = ::stat(path_.c_str(), &old) != 0 || !S_ISREG(old.st_mode);
  const mode_t mode = is_new ? 0666 : old.st_mode & 0777;
  std::tie(temporary_, fd_) = temporary_beside(
      path_, [&](const auto& name) { return ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode); });
  if (!is_new) ::fchmod(fd_, mode);  // what the umask took away
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

void AtomicFile::make_durable() {
  if (::fsync(fd_) != 0) io_failure(path_, "cannot be written", errno);
}

void AtomicFile::commit() {
  make_durable();
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
  const int fd = open_folder(folder);
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
    if (!std::filesystem::is_directory(status)) refuse(ErrorCode::io_error, folder_, "", "exists and is not a folder");
    if (!replace_) refuse(ErrorCode::io_error, folder_, "", "exists already; --force replaces it");
  }
  std::tie(temporary_, lock_) = temporary_beside(
      folder_, [](const auto& name) { return ::mkdir(name.c_str(), 0777) == 0 ? open_folder(name) : -1; });
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
  ::close(lock_);
}

void AtomicFolder::commit() {
  sync_folder(temporary_);
  std::error_code ignored;
  if (!replace_ || !std::filesystem::exists(folder_, ignored)) {
    if (::rename(temporary_.c_str(), folder_.c_str()) != 0) io_failure(folder_, "cannot be written", errno);
    temporary_.clear();
  } else if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, folder_.c_str(), RENAME_EXCHANGE) == 0) {
    std::filesystem::remove_all(temporary_, ignored);  // the old one
    temporary_.clear();
  } else {
    replace_in_two_steps();
  }
  sync_folder(folder_of(folder_));
}

/// Where a file system cannot exchange two folders the old one steps aside, under a name that is never taken for left
/// behind, and comes back should the second step fail.
void AtomicFolder::replace_in_two_steps() {
  const std::filesystem::path old = folder_of(folder_) / temporary_name(folder_, ".old");
  if (::rename(folder_.c_str(), old.c_str()) != 0) io_failure(folder_, "cannot be replaced", errno);
  if (::rename(temporary_.c_str(), folder_.c_str()) != 0) {
    const int error_number = errno;
    ::rename(old.c_str(), folder_.c_str());
    io_failure(folder_, "cannot be written", error_number);
  }
  temporary_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(old, ignored);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
