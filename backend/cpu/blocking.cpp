#include "backend/cpu/blocking.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

/// One entry of what the kernel tells of a processor's caches; empty where there is none.
template <class T>
T read(int index, const char* entry) {
  std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/{}", index, entry));
  T value{};
  file >> value;
  return value;
}

/// Not sysconf: on a virtual machine it counts what other machines' cores have too.
Caches find() {
  Caches found{32 << 10, 1 << 20, 0};
  for (int index = 0; index < 8; ++index) {
    const std::int64_t bytes = read<std::int64_t>(index, "size") << 10;  // "32768K"
    if (bytes == 0 || read<std::string>(index, "type") == "Instruction") continue;
    const int level = read<int>(index, "level");
    if (level == 1) found.first = bytes;
    if (level == 2) found.second = bytes;
    found.largest = std::max(found.largest, bytes);
  }
  return found;
}

}  // namespace

const Caches& caches() {
  static const Caches found = find();
  return found;
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
