// Reads memory on the threads of torch's OpenMP and computes nothing: the least that a layer takes which reads its
// weight when it is called. A library that generate.py loads where torch is.

#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constexpr std::ptrdiff_t kLine = 64, kAhead = 48 * kLine, kParts = 2;

struct Memory {
  const unsigned char* const* first;
  const std::ptrdiff_t* bytes;
  int pieces;
  std::atomic<std::ptrdiff_t> next{0};
};

/// One thread's share of a piece. A word of a line brings the line.
void read_part(const unsigned char* first, std::ptrdiff_t bytes, std::ptrdiff_t i) {
  const std::ptrdiff_t lines = bytes / kLine;
  std::uint64_t seen = 0;
  for (std::ptrdiff_t l = lines * i / kParts; l < lines * (i + 1) / kParts; ++l) {
    __builtin_prefetch(first + l * kLine + kAhead, 0, 2);
    std::uint64_t word;
    std::memcpy(&word, first + l * kLine, sizeof word);
    seen ^= word;
  }
  asm volatile("" : : "r"(seen));
}

void read_parts(void* data) {
  Memory& memory = *static_cast<Memory*>(data);
  for (std::ptrdiff_t i; (i = memory.next.fetch_add(1, std::memory_order_relaxed)) < kParts;) {
    for (int piece = 0; piece < memory.pieces; ++piece) read_part(memory.first[piece], memory.bytes[piece], i);
  }
}

using Parallel = void (*)(void (*)(void*), void*, unsigned threads, unsigned flags);

Parallel torch_parallel() {
  void* library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD);
  return library ? reinterpret_cast<Parallel>(dlsym(library, "GOMP_parallel")) : nullptr;
}

}  // namespace

/// Reads pieces of memory; false where torch brought no OpenMP library of GCC's interface.
extern "C" [[gnu::visibility("default")]] bool read_on_torch_threads(const unsigned char* const* first,
                                                                     const std::ptrdiff_t* bytes, int pieces) {
  static const Parallel parallel = torch_parallel();
  if (!parallel) return false;
  Memory memory{first, bytes, pieces};
  parallel(read_parts, &memory, 0, 0);
  return true;
}
