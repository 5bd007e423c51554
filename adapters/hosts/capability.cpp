#include "adapters/hosts/capability.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "adapters/hosts/op_table.h"
#include "nibble/error.h"

namespace nibble {
namespace hosts {
namespace {

struct Row {
  std::string_view name;
  Packed packed;
};
constexpr auto kRows = std::apply([](const auto&... row) { return std::array{Row{row.name, row.packed}...}; }, kOps);

const Row& row_of(std::string_view op) {
  const auto* row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.name == op; });
  if (row == kRows.end()) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[capability] '{}': there is no such operation", op));
  }
  return *row;
}

FormatInfo format_of(std::string_view name) {
  if (std::optional<FormatInfo> info = format_info(name)) return *std::move(info);
  throw Error(ErrorCode::invalid_argument, fmt::format("[capability] '{}': there is no such format", name));
}

bool is_small_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

bool is_one_of(std::string_view op, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), op) != names.end();
}

/// Whether the op computes with elements of this dtype, or only moves them.
bool takes(std::string_view op, DType dtype) {
  if (is_one_of(op, {"matmul", "dot", "dot_general", "einsum", "gather_matmul", "rope", "rms_norm", "layer_norm",
                     "scaled_dot_product_attention", "quantize"})) {
    return is_small_float(dtype);
  }
  const bool is_stored_only = dtype == DType::f64 || dtype == DType::i16 || dtype == DType::u16 ||
                              dtype == DType::u64 || dtype == DType::f8_e4m3 || dtype == DType::f8_e5m2;
  if (!is_stored_only) return true;
  return is_one_of(op, {"zeros", "empty", "cast", "dequantize", "reshape", "transpose", "swapaxes", "expand_dims",
                        "squeeze", "broadcast_to", "slice", "select", "split", "contiguous", "flip"});
}

}  // namespace

Capability capability(std::string_view op, DType dtype, const std::optional<std::string>& format, const Shape& shape,
                      Device device) {
  const Row& row = row_of(op);
  const auto all = devices();
  const bool exists = std::any_of(all.begin(), all.end(), [&](const DeviceInfo& d) { return d.device == device; });
  if (!exists || !takes(op, dtype)) return Capability::refused;
  if (!format) return Capability::native;
  const FormatInfo info = format_of(*format);
  const bool fits = !shape.empty() && shape.back() % info.group_size == 0;
  if (!fits || !is_small_float(dtype) || row.packed == Packed::none) return Capability::refused;
  return row.packed == Packed::native ? Capability::native : Capability::decoded;
}

}  // namespace hosts
}  // namespace nibble
