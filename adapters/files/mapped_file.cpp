#include "adapters/files/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() { ::close(fd); }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: a FIFO must be refused below, not waited for.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) io_failure(path, "cannot be opened", errno);
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) io_failure(path, "cannot be examined", errno);
  if (!S_ISREG(status.st_mode)) bad_file(path, "", "is not a plain file");

  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (address == MAP_FAILED) io_failure(path, "cannot be mapped", errno);
    mapped->data_ = static_cast<const std::byte*>(address);
    mapped->size_ = size;
  }
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::forget(std::span<const std::byte> bytes) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()), end = begin + bytes.size();
  const auto mapped = reinterpret_cast<std::uintptr_t>(data_);
  if (begin < mapped || end > mapped + size_) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  // The first page too, most of which was read just before: to read what another needs of it again costs little. The
  // last one is about to be read on.
  const auto first = begin / page * page, last = end / page * page;
  if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

std::string read_small_file(const std::filesystem::path& path, std::uint64_t limit) {
  const auto file = MappedFile::open(path);
  if (file->size() > limit) {
    bad_file(path, "", fmt::format("{} bytes are more than the {} that such a file may have", file->size(), limit));
  }
  return std::string(file->text());
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
