#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/export.h"

namespace nibble {
inline namespace v0 {

enum class DeviceType : std::uint8_t { cpu, vulkan };

/// Where a tensor's bytes live and its operations run.
struct NIBBLE_API Device {
  DeviceType type = DeviceType::cpu;
  std::uint8_t index = 0;

  static constexpr Device cpu() { return {}; }
  /// The Vulkan device of that place in devices(): graphics cards first, software last.
  static constexpr Device vulkan(int index = 0) { return {DeviceType::vulkan, static_cast<std::uint8_t>(index)}; }
  /// Reads "cpu" or "vulkan:1". Throws Error(invalid_argument) for anything else.
  static Device parse(std::string_view text);
  friend bool operator==(const Device&, const Device&) = default;
};
/// "cpu", "vulkan:0".
NIBBLE_API std::string to_string(Device device);

/// What a person wants to know of a device.
struct DeviceInfo {
  Device device;
  std::string name;                   ///< the processor's or card's own name
  std::string driver;                 ///< and its version; empty for the CPU
  bool software = false;              ///< a Vulkan device that the processor plays: only for tests
  std::uint32_t subgroup_size = 0;    ///< invocations that run in step; 0 for the CPU
  std::vector<std::string> features;  ///< instruction sets or device features that kernels use
  std::uint64_t memory_bytes = 0;     ///< physical memory, or the device's own
};
/// Every device there is: the CPU, then Vulkan devices, software ones last.
NIBBLE_API std::vector<DeviceInfo> devices();

/// The instruction-set units in this build that this processor runs, best first: "avx512", "avx2", "scalar"; "neon",
/// "scalar".
NIBBLE_API std::vector<std::string> cpu_units();
/// The unit in use: the best one, or the one that the environment variable NIBBLE_ISA names. A NIBBLE_ISA that
/// names no unit of this machine makes the first operation throw Error(invalid_argument).
NIBBLE_API std::string cpu_unit();

/// Threads that operations on the CPU share, the calling one included; those of the executor in force, if there is one.
/// The default is the number of cores that the process may use. Throws Error(invalid_argument) below 1.
NIBBLE_API void set_num_threads(int count);
NIBBLE_API int num_threads();

/// A host's own thread pool: called with a task count and a task, it must call `task(i)` once for each i in
/// [0, count), in any order and on any threads, and return when all have returned. Tasks do not throw.
using ParallelFor = std::function<void(std::int64_t count, const std::function<void(std::int64_t)>& task)>;
/// A pool for some operations only, named by Options::executor; it must outlive them.
struct Executor {
  ParallelFor parallel_for;
  int threads = 1;  ///< workers that loops are split for, at least 1
};
/// Makes nibble run its parallel loops on the host's pool, split for `threads` workers; an empty function
/// brings nibble's own pool back. Call it while no operation runs.
NIBBLE_API void set_parallel_for(ParallelFor parallel_for, int threads);

}  // namespace v0
}  // namespace nibble
