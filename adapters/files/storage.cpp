#include "adapters/files/storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "adapters/files/checkpoint_access.h"
#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/packed_pieces.h"
#include "adapters/files/packer.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// What the container says with the same numbers.
const FormatInfo* same_numbers(const TensorInfo& tensor, const Container& container) {
  for (const FormatInfo& format : known_formats()) {
    if (container.says(format) && tensor.shape.back() % format.block == 0 &&
        holds_numbers_of(format.name, tensor.format, tensor.dtype))
      return &format;
  }
  return nullptr;
}

/// What the container calls a format that a plan asks for; null where it cannot say it. Two that hold each other's
/// numbers, whatever type scales are of, are one under two names.
const FormatInfo* said(const std::string& name, const Container& container) {
  if (const FormatInfo* itself = find_format_info(name); container.says(*itself)) return itself;
  for (const FormatInfo& format : known_formats()) {
    if (container.says(format) && holds_numbers_of(format.name, name, DType::f32) &&
        holds_numbers_of(name, format.name, DType::f32))
      return &format;
  }
  return nullptr;
}

Tensor with_scales_of(DType dtype, const Tensor& packed) {
  if (packed.dtype() == dtype) return packed;
  PackingView view = packing_of(packed);
  for (std::size_t c = 0; c < view.format.components.size(); ++c) {
    if (!view.format.components[c].dtype) view.components[c].second = cast(view.components[c].second, dtype);
  }
  return from_components(view.format.name, view.components, packed.shape(), dtype);
}

}  // namespace

Storage lossless_storage(const Checkpoint& checkpoint, const TensorInfo& tensor, const Container& container,
                         const WriteOptions& options) {
  using enum Storage::Way;
  const bool follows = options.dtype && (tensor.packed || is_floating(tensor.dtype));
  const DType dtype = follows ? *options.dtype : tensor.dtype;
  if (!tensor.packed || options.dequantize) return {dense, nullptr, dtype};
  const FormatInfo* format = find_format_info(tensor.format);
  if (format && !tensor.reordered && !tensor.transposed) {  // which no other file says
    if (container.says(*format)) return {kept, format, options.dtype ? packable_dtype(dtype) : dtype};
    if (const FormatInfo* same = same_numbers(tensor, container)) return {reexpressed, same, DType::f16};
  }
  const FormatInfo* requantized = options.requantize ? options.requantize->becomes(tensor) : nullptr;
  if (requantized) return {packed, requantized, packable_dtype(dtype)};
  refuse(
      ErrorCode::unsupported, checkpoint.path(), tensor.name,
      fmt::format("{} {}{} cannot be stored in {} without a loss{}", tensor.format, to_string(tensor.shape),
                  tensor.reordered    ? " with inputs in an order of their own"
                  : tensor.transposed ? " packed along its columns"
                                      : "",
                  container.name, options.requantize ? fmt::format(", and is no {}", options.requantize->format) : ""));
}

void say_in(const Container& container, const std::filesystem::path& out, WriteOptions* options) {
  for (std::optional<PackPlan>* plan : {&options->plan, &options->requantize}) {
    if (!*plan) continue;
    for (std::string* format : (*plan)->formats()) {
      const FormatInfo* info = said(*format, container);
      if (!info) {
        const bool is_ggufs = find_format_info(*format)->ggml_type.has_value();
        refuse(ErrorCode::unsupported, out, "",
               fmt::format("{} cannot be stored in {}{}", *format, container.name,
                           is_ggufs ? ", but in a .gguf file" : ""));
      }
      *format = info->name;
    }
  }
}

Tensor stored(const Tensor& rows, const Storage& storage) {
  switch (storage.way) {
    case Storage::Way::kept: return with_scales_of(storage.dtype, rows);
    case Storage::Way::reexpressed: return reexpress(rows, storage.format->name);
    case Storage::Way::packed: return CheckpointAccess::pack(storage.format->name, rows, storage.dtype);
    case Storage::Way::dense:
    case Storage::Way::as_stored: break;
  }
  return rows.is_quantized() ? dequantize(rows, storage.dtype) : cast(rows, storage.dtype);
}

void for_each_block(const Tensor& tensor, std::int64_t unit, const std::function<void(const Tensor&)>& use) {
  constexpr std::int64_t kBlock = 1 << 20;  // elements: far more than threads need to share, far less than a weight
  if (tensor.numel() <= kBlock) return use(tensor);
  const std::int64_t count = tensor.shape()[0], width = tensor.numel() / count;
  if (width > kBlock && tensor.ndim() > 2) {
    for (std::int64_t i = 0; i < count; ++i) for_each_block(select(tensor, 0, i), unit, use);
    return;
  }
  const std::int64_t rows = std::max<std::int64_t>(1, kBlock / width / unit) * unit;
  for (std::int64_t i = 0; i < count; i += rows) use(slice(tensor, 0, i, std::min(i + rows, count)));
}

void refuse_unknown_packers(const Checkpoint& checkpoint) {
  if (checkpoint.is_gguf()) return;
  const std::string text = checkpoint.config_json();
  if (!text.empty()) {
    const nlohmann::json config = parse_small_json(text, checkpoint.path());
    const auto block = config.find("quantization_config");
    const bool names_method = block != config.end() && block->is_object() && block->contains("quant_method");
    const nlohmann::json method = names_method ? (*block)["quant_method"] : nlohmann::json();
    if (names_method && !(method.is_string() && find_packing_method(method.get<std::string>()))) {
      refuse(ErrorCode::unsupported, checkpoint.path() / "config.json", "quantization_config",
             fmt::format("quant_method {} is not supported", shown(method.dump())));
    }
  }
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (tensor.packed || tensor.dtype != DType::u32 || !tensor.name.ends_with(".weight")) continue;
    const bool has_scales = checkpoint.contains(fmt::format("{}.scales", stem_of(tensor.name)));
    refuse(ErrorCode::invalid_file, checkpoint.path(), tensor.name,
           has_scales ? "has scales beside it, but config.json has no quantization that says how it is packed"
                      : "is U32, as packed weights are, but its .scales are missing");
  }
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
