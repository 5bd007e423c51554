#include <algorithm>

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/packed.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// The arguments of shaders/packed_places.glsl.
struct EncodeArguments {
  static constexpr int kAxes = 3;

  std::array<std::uint64_t, 3> component{};
  std::uint64_t in = 0, starts = 0, error = 0;
  std::array<std::uint32_t, 3> pitch{};
  std::uint32_t k = 0;
  std::array<std::uint32_t, kAxes> size{1, 1, 1};
  std::array<std::int32_t, kAxes> in_stride{}, row_stride{};
  std::int32_t in_column = 1;
  std::int32_t start_stride = 0, step = 0;
  std::uint32_t last = 0, ticket = 0;

  EncodeArguments(const Tensor& rows, const Format& format, std::span<const Tensor> components) : in(address_of(rows)) {
    const std::int64_t length = rows.shape().back();
    k = static_cast<std::uint32_t>(length);
    in_column = static_cast<std::int32_t>(rows.impl().strides[rows.ndim() - 1]);
    for (std::size_t c = 0; c < components.size(); ++c) {
      component[c] = address_of(components[c]);
      pitch[c] = static_cast<std::uint32_t>(format.width(static_cast<int>(c), length) *
                                            static_cast<std::int64_t>(itemsize(components[c].dtype())));
    }
  }
  void set_axis(int place, std::int64_t entries, std::int64_t in_step, std::int64_t rows) {
    const auto at = static_cast<std::size_t>(place);
    size[at] = static_cast<std::uint32_t>(entries);
    in_stride[at] = static_cast<std::int32_t>(in_step);
    row_stride[at] = static_cast<std::int32_t>(rows);
  }
  std::uint64_t rows() const { return std::uint64_t{size[0]} * size[1] * size[2]; }
};
static_assert(sizeof(EncodeArguments) <= kPushBytes);

bool fits(const Tensor& rows, const Format& format) {
  return has_shader_for("encode", &format) && is_arithmetic_float(rows.dtype()) &&
         rows.numel() < (std::int64_t{1} << 31);
}

void encode(Context& context, const EncodeArguments& args, const Tensor& rows, const Tensor& starts,
            const Format& format, std::span<const Tensor> components) {
  const Variant variant{shader_for("encode", &format),
                        kElementWorkgroup,
                        {number(rows.dtype()), 0, 0, static_cast<std::uint32_t>(format.bits),
                         static_cast<std::uint32_t>(format.group_size), number(components.back().dtype())}};
  const Tensor reads[] = {rows, starts};
  const std::uint64_t groups = args.rows() * (args.k / static_cast<std::uint32_t>(format.group_size));
  context.dispatch(variant, std::as_bytes(std::span(&args, 1)), context.spread(workgroups(groups)), reads, components);
}

}  // namespace

void VulkanBackend::quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) {
  if (!fits(w, format)) return HostFallback::quantize(w, format, components);
  if (w.numel() == 0) return;
  EncodeArguments args(w, format, components);
  args.set_axis(2, w.numel() / w.shape().back(), w.shape().back(), 1);
  encode(context_, args, w, {}, format, components);
}

bool VulkanBackend::update_packed(const Tensor& rows, const Tensor& starts, int axis, const Tensor& out) {
  const Packing& packing = *out.packing();
  if (!fits(rows, *packing.format) || rows.ndim() > EncodeArguments::kAxes + 1) return false;
  if (rows.numel() == 0) return true;
  EncodeArguments args(rows, *packing.format, packing.components);
  const int axes = rows.ndim() - 1, lead = EncodeArguments::kAxes - axes;
  for (int a = 0; a < axes; ++a) {
    args.set_axis(lead + a, rows.shape()[a], rows.impl().strides[a], out.impl().strides[a]);
  }
  args.starts = address_of(starts);
  // Starts of each entry of axis 0 are told by the first of the shader's axes.
  if (starts.ndim() == 1 && lead > 0) return false;
  if (starts.ndim() == 1) args.start_stride = static_cast<std::int32_t>(starts.impl().strides[0]);
  args.step = static_cast<std::int32_t>(out.impl().strides[axis]);
  args.last = static_cast<std::uint32_t>(out.shape()[axis] - rows.shape()[axis]);
  args.error = context_.error_word();
  args.ticket = context_.ticket("update_slice", "x", out, std::int64_t{args.last} + 1);
  encode(context_, args, rows, starts, *packing.format, packing.components);
  return true;
}

}  // namespace nibble::inline v0::detail::vulkan
