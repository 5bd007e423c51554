#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/tensor.h"

/// What a device can do at most, found by measuring: the figures of a benchmark are given as shares of these, taken
/// between its own repetitions.
namespace nibble {
inline namespace v0 {

/// Bytes of the device's last cache before memory; 0 where the system does not say.
NIBBLE_API std::uint64_t cache_bytes(Device device = {});

/// How fast one way of doing something was.
struct LoopRate {
  std::string loop;       ///< "four rows, prefetched"
  double per_second = 0;  ///< bytes, or operations: a multiplication and an addition are two
};

/// Reads a tensor's bytes once, each way known a part of its own, on num_threads() threads of its device. To see memory
/// rather than a cache, give it several times cache_bytes(). `unit` is one of cpu_units(), by default the one in use.
/// The tensor must be dense and contiguous, of a megabyte or more. Throws Error(invalid_argument).
NIBBLE_API std::vector<LoopRate> measure_reading(const Tensor& buffer, std::string_view unit = {});

/// What multiplies: each sums into at least 32 bits, but for loops that widen 16-bit sums after a stated number of
/// steps; f16, which only devices have, into itself.
enum class Arithmetic : std::uint8_t { fp32, bf16, int16, int8, f16 };

/// Runs each loop that the unit has for this arithmetic for about a millisecond on num_threads() threads, operands in
/// registers. Empty where the unit has no instruction for it. Throws Error(invalid_argument) for an unknown unit.
NIBBLE_API std::vector<LoopRate> measure_arithmetic(Arithmetic kind, Device device = {}, std::string_view unit = {});

/// The rate of the fastest; 0 of none.
NIBBLE_API double fastest(const std::vector<LoopRate>& rates) noexcept;

}  // namespace v0
}  // namespace nibble
