#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "nibble/device.h"
#include "nibble/export.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {

/// Work that is done again and again, of which a Vulkan device is told once. `work` gets tensors of the recording's
/// own, which hold what `inputs` hold; run() writes others over them, and all that was computed from them is computed
/// anew: what was written in place is written again, outputs() keep their places and hold what the newest run gave.
/// What was decided on the host is not decided again: sizes, options, numbers that were no tensors. So positions and
/// lengths must be tensors, as operations take them.
///
/// On the CPU, and where work reads values, writes some from the host, needs the CPU for an operation, or the device is
/// used from another thread meanwhile, it is not kept: then run() calls `work` again. Results are the same.
///
/// One thread at a time. What work reads and writes stays in memory for as long as the recording lives.
class NIBBLE_API Recording {
 public:
  using Work = std::function<std::vector<Tensor>(std::span<const Tensor> inputs)>;

  /// Calls `work` on that device; its results are outputs(). Inputs are dense and may lie anywhere.
  Recording(Device device, std::span<const Tensor> inputs, Work work);
  ~Recording();
  Recording(Recording&&) noexcept;
  Recording& operator=(Recording&&) noexcept;

  /// Whether run() is a submission of what was recorded.
  bool is_kept() const;
  const std::vector<Tensor>& outputs() const;
  /// Throws Error(shape_mismatch) where an input has another shape or dtype than before.
  void run(std::span<const Tensor> inputs);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace v0
}  // namespace nibble
