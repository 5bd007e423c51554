#pragma once

#include <cstdint>

#include "nibble/device.h"

namespace nibble {
inline namespace v0 {

/// How exactly a matmul with a packed operand is computed. With y* the fp64 product of x with the fp32-decoded
/// weights and e = |y − y*| / (‖x‖₂·‖w‖₂) for each element, of sums of up to 16,384 terms:
enum class Precision : std::uint8_t {
  exact,     ///< fp32 arithmetic: e ≤ 1e-6; where all terms have one sign, and roundings add up, e ≤ 5e-6
  standard,  ///< e ≤ 1e-4, and ‖y − y*‖/‖y*‖ ≤ 1e-4 also for activations with outlier channels
  fast,      ///< any narrower arithmetic: e ≤ 2e-2
};
// The bounds of standard and fast hold for every x and w: a row of x that would miss them takes a more precise path, as
// one does that is not finite. Dense products are exact; of bf16 with bf16, processors that multiply pairs of them take
// denormals for zeros.

/// Whether an operation that has no packed kernel may dequantize what it needs (counted in stats()).
enum class Fallback : std::uint8_t { allow, error };
/// Whether a constant operand may be moved to the other operand's device (counted in stats()).
enum class Transfer : std::uint8_t { allow, error };

/// How operations are carried out. Read at the call.
struct Options {
  Precision precision = Precision::standard;
  Fallback fallback = Fallback::allow;
  Transfer transfer = Transfer::allow;
  bool deterministic = false;  ///< the same bits for a row alone and in any batch
  Device device{};             ///< where creation functions put new tensors
  /// Whose threads run the loops on the CPU; null: those of set_parallel_for, else nibble's own.
  const Executor* executor = nullptr;
};

/// What is in force on this thread: the innermost `with`, else the process default.
NIBBLE_API const Options& options() noexcept;
/// Sets the process default.
NIBBLE_API void set_default_options(const Options& options);
NIBBLE_API void set_default_device(Device device);

/// Overrides the options of this thread while it lives:
/// `nb::with strict({.fallback = nb::Fallback::error});`
class NIBBLE_API with {
 public:
  explicit with(const Options& options);
  ~with();
  with(const with&) = delete;
  with& operator=(const with&) = delete;

 private:
  Options options_;
  const Options* previous_;
};

/// Counters of the process since it began or since reset_stats().
struct Stats {
  std::uint64_t bytes_dequantized = 0;  ///< bytes written by operations that had to dequantize a packed operand
  std::uint64_t bytes_copied =
      0;  ///< bytes that update_slice copied because the storage was shared, or others because they lay unaligned
  std::uint64_t bytes_moved = 0;      ///< bytes moved between devices
  std::uint64_t bytes_allocated = 0;  ///< bytes of live tensor storage (not reset)
  std::uint64_t peak_bytes_allocated = 0;
  std::uint64_t ops_cpu = 0;
  std::uint64_t ops_vulkan = 0;
};
NIBBLE_API Stats stats() noexcept;
NIBBLE_API void reset_stats() noexcept;

}  // namespace v0
}  // namespace nibble
