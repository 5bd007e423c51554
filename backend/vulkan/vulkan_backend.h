#pragma once

#include <map>
#include <mutex>

#include "backend/vulkan/context.h"
#include "backend/vulkan/host_fallback.h"

namespace nibble::inline v0::detail::vulkan {

inline constexpr std::uint32_t kElementWorkgroup = 128;
/// Workgroups of that size for so many invocations.
constexpr std::uint64_t workgroups(std::uint64_t invocations) {
  return (invocations + kElementWorkgroup - 1) / kElementWorkgroup;
}

/// A Vulkan device: each family of operations has a file of its own in this folder, that says which operands its
/// kernels take; the rest goes to the CPU (HostFallback). Operations are recorded at the call and run when they are
/// submitted.
class VulkanBackend final : public HostFallback {
 public:
  /// `host`: handles of a device that is not nibble's own, or null.
  VulkanBackend(Device device, const FoundDevice& found, const VulkanHandles* host)
      : context_(device, found, host), kernels_(kernels_of(found)) {}

  Tensor allocate(const Shape& shape, DType dtype) override { return context_.allocate(shape, dtype); }
  void upload(const void* data, const Tensor& to) override { context_.upload(data, to); }
  void download(const Tensor& from, void* out) override { context_.download(from, out); }
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
  bool update_slice(const Tensor& rows, const Tensor& starts, int axis, const Tensor& out) override;
  void rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) override;
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& out) override;
  void rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
            const Tensor& out) override;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal, const Tensor& mask,
                 const Tensor& key_length, const Tensor& out) override;
  void dequantize(const Tensor& packed, const Tensor& out) override;
  void quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) override;
  std::span<const MatmulKernel> matmul_kernels() override { return kernels_; }
  std::unique_ptr<Repeatable> record(const std::function<void()>& work) override { return context_.record(work); }
  std::uint64_t cache_bytes() override;
  std::vector<LoopRate> measure_reading(const Tensor& buffer, std::string_view unit) override;
  std::vector<LoopRate> measure_arithmetic(Arithmetic kind, std::string_view unit) override;

  /// The kernels for products that a device with these features has.
  static std::vector<MatmulKernel> kernels_of(const FoundDevice& found);
  /// For the kernels of products, which are functions.
  Context& context() { return context_; }
  /// What codes of this format name, on the device; undefined where they name nothing.
  Tensor numbers_of(const Format& format);
  /// Nothing may follow: see Context::close.
  void close();

 private:
  void place(const Tensor& host, const Tensor& out) override;
  /// One invocation for each place of every walk over `shape`; of the operands, `out` is written.
  void each_element(const Variant& variant, const Shape& shape, std::initializer_list<Tensor> operands,
                    const Tensor& out, std::array<std::uint32_t, 4> extra = {});
  /// Elements of `in` at the places of `in_strides` and, along an axis of `count` entries `step` apart, at indices.
  void gather(std::string_view op, const Tensor& in, const Strides& in_strides, std::int64_t count, std::int64_t step,
              const Tensor& indices, const Strides& index_strides, const Tensor& out);
  /// update_slice of whole packed rows.
  bool update_packed(const Tensor& rows, const Tensor& starts, int axis, const Tensor& out);
  void take_packed(const Tensor& in, const Tensor& indices, const Tensor& out);
  void decode(const Tensor& packed, const Tensor& indices, const Tensor& out, std::span<const std::byte> arguments,
              std::uint64_t invocations);
  void normalize(const Tensor& x, const Tensor& weight, const Tensor& bias, bool centred, double eps,
                 const Tensor& out);

  Context context_;
  const std::vector<MatmulKernel> kernels_;
  std::mutex mutex_;
  std::map<const Format*, Tensor> numbers_;  // made at first use
};

/// The backend of a tensor's device, which must be Vulkan.
VulkanBackend& backend_of(const Tensor& t);

}  // namespace nibble::inline v0::detail::vulkan
