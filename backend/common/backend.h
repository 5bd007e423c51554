#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/common/matmul_kernel.h"
#include "backend/common/repeatable.h"
#include "nibble/limits.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace detail {

// clang-format off
enum class UnaryOp : std::uint8_t {
  negative, abs, sign, square, sqrt, rsqrt, reciprocal, exp, log, sin, cos, tanh, erf, floor, ceil, round,
  logical_not, isnan, isinf, isfinite, sigmoid, relu, silu, gelu, gelu_tanh,
  count_,
};
enum class BinaryOp : std::uint8_t {
  add, subtract, multiply, divide, floor_divide, remainder, power, minimum, maximum,
  equal, not_equal, less, less_equal, greater, greater_equal, logical_and, logical_or,
  count_,
};
// clang-format on
enum class ReduceOp : std::uint8_t { sum, max, min, argmax, argmin, logsumexp, count_ };
enum class Distribution : std::uint8_t { uniform, normal };

/// What a device can do. Dispatch has validated every call: shapes and dtypes fit, operands live on this device, packed
/// tensors appear only where a comment says so, and `out` is allocated. Operands may have any strides (0 where
/// broadcast, negative where flipped).
class Backend {
 public:
  virtual ~Backend() = default;

  virtual Tensor allocate(const Shape& shape, DType dtype) = 0;
  /// Bytes from host memory into a contiguous tensor, and out of one; the host's have been read, or written, at return.
  virtual void upload(const void* data, const Tensor& to) = 0;
  virtual void download(const Tensor& from, void* out) = 0;
  /// Counts an operation of this device in stats().
  virtual void count_operation() = 0;

  /// Element by element, converting between dtypes; out may have strides, `in` any address. Also cast, contiguous,
  /// concatenate, update_slice.
  virtual void copy(const Tensor& in, const Tensor& out) = 0;
  virtual void fill(const Tensor& out, Scalar value) = 0;
  virtual void arange(const Tensor& out, Scalar start, Scalar step) = 0;
  /// uniform in [a, b) or normal with mean a and deviation b.
  virtual void random(const Tensor& out, Distribution distribution, std::uint64_t seed, double a, double b) = 0;

  /// All of one shape; `out` contiguous. Comparisons write booleans. Inputs of one dtype.
  virtual void unary(UnaryOp op, const Tensor& in, const Tensor& out) = 0;
  virtual void binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) = 0;
  virtual void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) = 0;

  /// Over the last axis of `in` (dispatch moves the reduced axes there): in (…, n), out (…) contiguous.
  virtual void reduce(ReduceOp op, const Tensor& in, const Tensor& out) = 0;
  /// Over the last axis; out contiguous.
  virtual void softmax(const Tensor& in, const Tensor& out, bool log) = 0;
  /// Over the last axis; either output may be undefined; `indices` i32. Outputs shorter than `in` get its first entries
  /// in order.
  virtual void sort(const Tensor& in, bool descending, const Tensor& values, const Tensor& indices) = 0;

  /// out (*indices, rest…) = in[indices]: in (n, rest…), over axis 0; indices integer, any shape. `in` may be packed in
  /// 2-D with its rows on axis 0 (then out is their decode). Throws Error(out_of_range).
  virtual void take(const Tensor& in, const Tensor& indices, const Tensor& out) = 0;
  /// Over the last axis: out (…, m) = in (…, n) at indices (…, m).
  virtual void take_along_last(const Tensor& in, const Tensor& indices, const Tensor& out) = 0;

  /// Writes `rows` over out[…, start : start + n, …] of `axis`, where the starts, i32 () or (B,), one for each entry of
  /// axis 0, lie on the device: nothing waits for them. `out` may be packed along its last axis, whole rows from its
  /// first on, which are packed as they are written. False, and nothing done, where starts are better read on the host.
  virtual bool update_slice(const Tensor& /*rows*/, const Tensor& /*starts*/, int /*axis*/, const Tensor& /*out*/) {
    return false;
  }

  virtual void rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) = 0;
  virtual void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& out) = 0;
  /// x (B, …, T, D); positions i32 (B, T) by strides.
  virtual void rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
                    const Tensor& out) = 0;
  /// Whether attention reads keys and values that are packed along their last axis; else they come decoded.
  virtual bool attends_packed() const { return false; }
  /// q (B, H, Tq, D), k, v (B, Hk, Tk, ·), which may be packed where attends_packed(); key_length i32 (B,) by strides
  /// or undefined; mask broadcast to (B, H, Tq, Tk) or undefined.
  virtual void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal,
                         const Tensor& mask, const Tensor& key_length, const Tensor& out) = 0;

  /// The kernel table for products, dense ones included.
  virtual std::span<const MatmulKernel> matmul_kernels() = 0;

  /// packed (…, any axis packed) → out of the same shape, contiguous, f32, f16 or bf16.
  virtual void dequantize(const Tensor& packed, const Tensor& out) = 0;
  /// w (…, N, K) contiguous f32, f16 or bf16 → components already allocated, a row each.
  virtual void quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) = 0;

  /// Calls `work`; what of it can be run again without it, or null where that is not all. See nibble/recording.h.
  virtual std::unique_ptr<Repeatable> record(const std::function<void()>& work) {
    work();
    return nullptr;
  }

  /// See nibble/limits.h. An empty `unit` is the one in use.
  virtual std::uint64_t cache_bytes() = 0;
  virtual std::vector<LoopRate> measure_reading(const Tensor& buffer, std::string_view unit) = 0;
  virtual std::vector<LoopRate> measure_arithmetic(Arithmetic kind, std::string_view unit) = 0;
};

/// The CPU's; always there.
Backend& cpu_backend();

DeviceInfo cpu_device();

/// The Vulkan devices that there are, and the backend of one. Without any, or of another index, it throws
/// Error(unsupported) that says what was found.
std::vector<DeviceInfo> vulkan_devices();
Backend& vulkan_backend(int index);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
