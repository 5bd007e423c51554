#pragma once

#include "backend/common/backend.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// The CPU: each family of operations lives in its own file of this folder. Everything is finished at return.
class CpuBackend final : public Backend {
 public:
  Tensor allocate(const Shape& shape, DType dtype) override;
  void upload(const void* data, const Tensor& to) override;
  void download(const Tensor& from, void* out) override;
  void count_operation() override;
  void copy(const Tensor& in, const Tensor& out) override;
  void fill(const Tensor& out, Scalar value) override;
  void arange(const Tensor& out, Scalar start, Scalar step) override;
  void random(const Tensor& out, Distribution distribution, std::uint64_t seed, double a, double b) override;
  void unary(UnaryOp op, const Tensor& in, const Tensor& out) override;
  void binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) override;
  void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) override;
  void reduce(ReduceOp op, const Tensor& in, const Tensor& out) override;
  void softmax(const Tensor& in, const Tensor& out, bool log) override;
  void sort(const Tensor& in, bool descending, const Tensor& values, const Tensor& indices) override;
  void take(const Tensor& in, const Tensor& indices, const Tensor& out) override;
  void take_along_last(const Tensor& in, const Tensor& indices, const Tensor& out) override;
  void rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) override;
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& out) override;
  void rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
            const Tensor& out) override;
  bool attends_packed() const override { return true; }
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal, const Tensor& mask,
                 const Tensor& key_length, const Tensor& out) override;
  std::span<const MatmulKernel> matmul_kernels() override;
  void dequantize(const Tensor& packed, const Tensor& out) override;
  void quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) override;
  std::uint64_t cache_bytes() override;
  std::vector<LoopRate> measure_reading(const Tensor& buffer, std::string_view unit) override;
  std::vector<LoopRate> measure_arithmetic(Arithmetic kind, std::string_view unit) override;
};

}  // namespace detail
}  // namespace v0
}  // namespace nibble
