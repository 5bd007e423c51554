#include <unistd.h>

#include <fstream>
#include <string>

#include "backend/common/backend.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// The processor's own name, as the kernel tells it.
std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

std::uint64_t physical_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && bytes > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(bytes) : 0;
}

}  // namespace

DeviceInfo cpu_device() {
  DeviceInfo cpu;
  cpu.name = cpu_name();
  cpu.features = cpu_units();
  cpu.memory_bytes = physical_memory();
  return cpu;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
