#include <fmt/format.h>

#include <bit>

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "nibble/error.h"
#include "nibble/options.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// The arguments of shaders/attention.glsl.
struct AttentionArguments {
  std::uint64_t q, k, v, mask = 0, key_length = 0, out, error = 0;
  std::array<std::int32_t, 3> q_stride, k_stride, v_stride;
  std::array<std::int32_t, 4> mask_stride{};
  std::int32_t length_stride = 0;
  std::uint32_t keys, sizes;
  float scale;
  std::uint32_t ticket = 0;
};
static_assert(sizeof(AttentionArguments) <= kPushBytes);

std::array<std::int32_t, 3> outer_strides(const Tensor& t) {
  const Strides& s = t.impl().strides;
  return {static_cast<std::int32_t>(s[0]), static_cast<std::int32_t>(s[1]), static_cast<std::int32_t>(s[2])};
}

/// Strides of batches, heads and positions that 32 bits hold.
bool is_near(const Tensor& t) {
  const Strides& s = t.impl().strides;
  return std::all_of(s.begin(), s.begin() + 3,
                     [](std::int64_t step) { return step == static_cast<std::int32_t>(step); });
}

bool lies_in_rows(const Tensor& t) {
  return is_near(t) && !t.is_quantized() && (t.shape().back() == 1 || t.impl().strides[3] == 1);
}

/// What a shader keeps of a query in shared memory, and what its arguments have room for.
constexpr std::int64_t kMostDepth = 1024, kMostSharing = 1023;

std::uint32_t packed_sizes(const Tensor& q, const Tensor& k, const Tensor& v) {
  const std::int64_t sharing = q.size(1) / k.size(1);
  return static_cast<std::uint32_t>((q.size(3) - 1) | (v.size(3) - 1) << 11 | sharing << 22);
}

}  // namespace

void VulkanBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal,
                              const Tensor& mask, const Tensor& key_length, const Tensor& out) {
  if (out.numel() == 0) return;
  const bool fits = lies_in_rows(q) && lies_in_rows(k) && lies_in_rows(v) && q.size(3) <= kMostDepth &&
                    v.size(3) <= kMostDepth && q.size(2) <= 65535 && q.size(1) <= 65535 && q.size(0) <= 65535;
  if (!fits || q.size(3) == 0 || q.size(1) / k.size(1) > kMostSharing) {
    return HostFallback::attention(q, k, v, scale, causal, mask, key_length, out);
  }
  AttentionArguments args{.q = address_of(q),
                          .k = address_of(k),
                          .v = address_of(v),
                          .out = address_of(out),
                          .q_stride = outer_strides(q),
                          .k_stride = outer_strides(k),
                          .v_stride = outer_strides(v),
                          .keys = static_cast<std::uint32_t>(k.size(2)),
                          .sizes = packed_sizes(q, k, v),
                          .scale = static_cast<float>(scale)};
  std::uint32_t mask_kind = 0;
  if (mask.defined()) {
    mask_kind = mask.dtype() == DType::boolean ? 1 : 2;
    args.mask = address_of(mask);
    for (int a = 0; a < 4; ++a) {
      args.mask_stride[static_cast<std::size_t>(a)] = static_cast<std::int32_t>(mask.impl().strides[a]);
    }
  }
  if (key_length.defined()) {
    args.key_length = address_of(key_length);
    args.length_stride = static_cast<std::int32_t>(key_length.impl().strides[0]);
    args.error = context_.error_word();
    args.ticket = context_.ticket("scaled_dot_product_attention", "key lengths of k", k, k.size(2) + 1);
  }
  const std::uint32_t lanes = context_.found().features.subgroup_size;
  // Powers of two: few pipelines serve all depths.
  const std::uint32_t own = std::bit_ceil((static_cast<std::uint32_t>(v.size(3)) + lanes - 1) / lanes);
  const Variant variant{
      "attention", lanes, {number(q.dtype()), number(k.dtype()), number(v.dtype()), mask_kind, causal, own}};
  const Tensor reads[] = {q, k, v, mask, key_length};
  context_.dispatch(variant, std::as_bytes(std::span(&args, 1)),
                    {static_cast<std::uint32_t>(q.size(2)), static_cast<std::uint32_t>(q.size(1)),
                     static_cast<std::uint32_t>(q.size(0))},
                    reads, {&out, 1});
}

}  // namespace nibble::inline v0::detail::vulkan
