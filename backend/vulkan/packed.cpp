#include "backend/vulkan/packed.h"

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// The arguments of shaders/packed_rows.glsl.
struct DecodeArguments {
  static constexpr int kAxes = 3;

  std::array<std::uint64_t, 3> component{};
  std::uint64_t out = 0, indices = 0, error = 0;
  std::array<std::uint32_t, 3> pitch{};
  std::uint32_t k = 0;
  std::array<std::uint32_t, kAxes> size{1, 1, 1};
  std::array<std::int32_t, kAxes> row_stride{}, out_stride{};
  std::int32_t out_column = 1;
  std::uint32_t count = 0, ticket = 0;

  DecodeArguments(const Tensor& packed, const Tensor& to) : out(address_of(to)), error(0) {
    const PackedView view(packed);
    component = view.address;
    pitch = view.pitch;
    k = static_cast<std::uint32_t>(packed.shape()[packed.packing()->axis]);
  }
  std::uint64_t invocations() const { return std::uint64_t{size[0]} * size[1] * size[2] * ((k + 31) / 32); }
};
static_assert(sizeof(DecodeArguments) <= kPushBytes);

/// All codes in whole words side by side: every width of one shader.
bool is_affine_triplet(const Format& format) {
  return format.components.size() == 3 && format.family == Family::affine;
}

}  // namespace

CachedVector<Tensor> parts_of(const Tensor& w) {
  if (!w.is_quantized()) return {w};
  const auto& components = w.packing()->components;
  CachedVector<Tensor> parts;
  parts.reserve(kMaxComponents + 3);  // room for what else a command reads
  parts.assign(components.begin(), components.end());
  const Tensor numbers = backend_of(w).numbers_of(*w.packing()->format);
  if (numbers.defined()) parts.push_back(numbers);
  return parts;
}

PackedView::PackedView(const Tensor& packed) {
  const Packing& packing = *packed.packing();
  for (std::size_t c = 0; c < packing.components.size(); ++c) {
    const Tensor& component = packing.components[c];
    const auto item = static_cast<std::int64_t>(itemsize(component.dtype()));
    const int index = static_cast<int>(c);
    const std::int64_t skipped = packing.format->components[c].of_row ? 0 : packing.format->width(index, packing.begin);
    pitch[c] = static_cast<std::uint32_t>(packing.format->width(index, packing.row_length) * item);
    address[c] = address_of(component) + static_cast<std::uint64_t>(skipped * item) +
                 static_cast<std::uint64_t>(packed.impl().offset) * pitch[c];
  }
  const Tensor numbers = backend_of(packed).numbers_of(*packing.format);
  if (numbers.defined()) address[packing.components.size()] = address_of(numbers);
}

std::string shader_for(std::string_view algorithm, const Format* format) {
  const std::string_view of = !format ? "dense" : is_affine_triplet(*format) ? "affine" : format->name;
  return std::string(algorithm) + "_" + std::string(of);
}
bool has_shader_for(std::string_view algorithm, const Format* format) {
  return find_shader(shader_for(algorithm, format)) != nullptr;
}

std::array<std::uint32_t, 3> format_constants(const Tensor& w) {
  if (!w.is_quantized()) return {number(w.dtype()), 0, 0};
  const Format& format = *w.packing()->format;
  if (format.components.size() == 1) return {};
  const Tensor& scales = w.packing()->components[1];
  return {static_cast<std::uint32_t>(format.bits), static_cast<std::uint32_t>(format.group_size),
          format.components[1].is_scale ? number(scales.dtype()) : 0};
}

void VulkanBackend::decode(const Tensor& packed, const Tensor& indices, const Tensor& out,
                           std::span<const std::byte> arguments, std::uint64_t invocations) {
  const auto own = format_constants(packed);
  const DType index = indices.defined() ? indices.dtype() : DType::i32;
  CachedVector<Tensor> reads = parts_of(packed);
  reads.push_back(indices);
  context_.dispatch({shader_for("decode", packed.packing()->format),
                     kElementWorkgroup,
                     {number(out.dtype()), number(index), 0, own[0], own[1], own[2]}},
                    arguments, context_.spread((invocations + kElementWorkgroup - 1) / kElementWorkgroup), reads,
                    {&out, 1});
}

void VulkanBackend::take_packed(const Tensor& in, const Tensor& indices, const Tensor& out) {
  const bool fits = out.numel() < (std::int64_t{1} << 34) && in.shape()[0] < (std::int64_t{1} << 31);
  if (!has_shader_for("decode", in.packing()->format) || !fits) return HostFallback::take(in, indices, out);
  if (out.numel() == 0) return;
  Tensor places = indices;
  if (!places.is_contiguous()) {
    places = allocate(indices.shape(), indices.dtype());
    copy(indices, places);
  }
  DecodeArguments args(in, out);
  args.indices = address_of(places);
  args.error = context_.error_word();
  args.size[2] = static_cast<std::uint32_t>(indices.numel());
  args.row_stride[2] = static_cast<std::int32_t>(in.impl().strides[0]);
  args.out_stride[2] = static_cast<std::int32_t>(in.shape()[1]);
  args.count = static_cast<std::uint32_t>(in.shape()[0]);
  args.ticket = context_.ticket("take", "x", in, in.shape()[0]);
  decode(in, places, out, std::as_bytes(std::span(&args, 1)), args.invocations());
}

void VulkanBackend::dequantize(const Tensor& packed, const Tensor& out) {
  const TensorImpl& impl = packed.impl();
  const int axis = impl.packing->axis;
  // Rows are numbered by the axes but the packed one.
  Shape rows = impl.shape;
  Strides from = impl.strides, to = out.impl().strides;
  const std::int64_t column = to[axis];
  rows.erase(axis);
  from.erase(axis);
  to.erase(axis);
  const bool fits = rows.rank() <= DecodeArguments::kAxes && out.numel() < (std::int64_t{1} << 31);
  if (!has_shader_for("decode", impl.packing->format) || !fits) return HostFallback::dequantize(packed, out);
  if (out.numel() == 0) return;
  DecodeArguments args(packed, out);
  args.out_column = static_cast<std::int32_t>(column);
  for (int a = 0; a < rows.rank(); ++a) {
    const auto place = static_cast<std::size_t>(DecodeArguments::kAxes - rows.rank() + a);
    args.size[place] = static_cast<std::uint32_t>(rows[a]);
    args.row_stride[place] = static_cast<std::int32_t>(from[a]);
    args.out_stride[place] = static_cast<std::int32_t>(to[a]);
  }
  decode(packed, {}, out, std::as_bytes(std::span(&args, 1)), args.invocations());
}

}  // namespace nibble::inline v0::detail::vulkan
