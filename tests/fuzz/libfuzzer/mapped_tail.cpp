// What lies behind a mapped file up to the page's end is readable, and no sanitizer knows better: reading there is told
// here. The program is linked with --wrap=mmap --wrap=munmap.
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

namespace {

std::size_t whole_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

extern "C" void* __real_mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset);
extern "C" int __real_munmap(void* address, std::size_t bytes);

extern "C" void* __wrap_mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset);
extern "C" void* __wrap_mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  void* data = __real_mmap(address, bytes, protection, flags, file, offset);
  if (data != MAP_FAILED && file >= 0)
    __asan_poison_memory_region(static_cast<char*>(data) + bytes, whole_pages(bytes) - bytes);
  return data;
}

extern "C" int __wrap_munmap(void* address, std::size_t bytes);
extern "C" int __wrap_munmap(void* address, std::size_t bytes) {
  __asan_unpoison_memory_region(address, whole_pages(bytes));
  return __real_munmap(address, bytes);
}
