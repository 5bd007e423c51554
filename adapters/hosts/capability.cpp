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
  Elements elements;
};
constexpr auto kRows = std::apply(
    [](const auto&... row) {
      return std::array{Row{row.name, row.packed, row.elements}...};
    },
    kOps);

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

bool is_among(DType dtype, Elements elements) {
  if (elements == Elements::any) return true;
  if (elements == Elements::floats) return is_arithmetic_float(dtype);
  return is_arithmetic(dtype) && (elements == Elements::computed || dtype != DType::boolean);
}

}  // namespace

Capability capability(std::string_view op, DType dtype, const std::optional<std::string>& format, const Shape& shape,
                      Device device) {
  const Row& row = row_of(op);
  const auto all = devices();
  const bool exists = std::any_of(all.begin(), all.end(), [&](const DeviceInfo& d) { return d.device == device; });
  if (!exists || !is_among(dtype, row.elements)) return Capability::refused;
  if (!format) return Capability::native;
  const FormatInfo info = format_of(*format);
  const bool fits = !shape.empty() && shape.back() % info.block == 0;
  if (!fits || !is_arithmetic_float(dtype) || row.packed == Packed::none) return Capability::refused;
  const bool reads = row.packed == Packed::native || (row.packed == Packed::on_cpu && device.type == DeviceType::cpu);
  return reads ? Capability::native : Capability::decoded;
}

}  // namespace hosts
}  // namespace nibble
