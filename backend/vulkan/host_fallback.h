#pragma once

#include "backend/common/backend.h"

namespace nibble::inline v0::detail::vulkan {

/// What a device's backend has no kernel for: operands move to the CPU and the result back. It overrides what it
/// computes itself, and calls these for the rest. Each time is counted, as
/// an operation of the CPU and as bytes moved; Transfer::error and Fallback::error refuse it.
class HostFallback : public Backend {
 public:
  void arange(const Tensor& out, Scalar start, Scalar step) override;
  void random(const Tensor& out, Distribution distribution, std::uint64_t seed, double a, double b) override;
  void reduce(ReduceOp op, const Tensor& in, const Tensor& out) override;
  void softmax(const Tensor& in, const Tensor& out, bool log) override;
  void sort(const Tensor& in, bool descending, const Tensor& values, const Tensor& indices) override;
  void take(const Tensor& in, const Tensor& indices, const Tensor& out) override;
  void take_along_last(const Tensor& in, const Tensor& indices, const Tensor& out) override;
  void rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) override;
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& out) override;
  void rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
            const Tensor& out) override;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal, const Tensor& mask,
                 const Tensor& key_length, const Tensor& out) override;
  void dequantize(const Tensor& packed, const Tensor& out) override;
  void quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) override;
  /// By the CPU's best kernel.
  void multiply(const MatmulArgs& args);

 protected:
  /// A result that was computed on the host, into a tensor of the device with any strides.
  virtual void place(const Tensor& host, const Tensor& out) = 0;
};

}  // namespace nibble::inline v0::detail::vulkan
