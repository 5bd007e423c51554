#include <fmt/format.h>

#include <string>

#include "nibble/error.h"
#include "quant_tensor/formats/format.h"

namespace nibble {
inline namespace v0 {
namespace detail {

// Each file of this folder that defines formats is named here, twice: its rows, and their place in the table.
extern const Format mlx_affine_formats[18];
extern const Format q4_0_format, q4_1_format, q5_0_format, q5_1_format, q8_0_format;

namespace {

constexpr const Format* kTable[] = {
    &mlx_affine_formats[0],
    &mlx_affine_formats[1],
    &mlx_affine_formats[2],
    &mlx_affine_formats[3],
    &mlx_affine_formats[4],
    &mlx_affine_formats[5],
    &mlx_affine_formats[6],
    &mlx_affine_formats[7],
    &mlx_affine_formats[8],
    &mlx_affine_formats[9],
    &mlx_affine_formats[10],
    &mlx_affine_formats[11],
    &mlx_affine_formats[12],
    &mlx_affine_formats[13],
    &mlx_affine_formats[14],
    &mlx_affine_formats[15],
    &mlx_affine_formats[16],
    &mlx_affine_formats[17],
    &q4_0_format,
    &q4_1_format,
    &q5_0_format,
    &q5_1_format,
    &q8_0_format,
};

}  // namespace

std::span<const Format* const> format_table() { return kTable; }

const Format* find_format(std::string_view name) {
  for (const Format* format : kTable) {
    if (format->name == name) return format;
  }
  return nullptr;
}

const Format& format_named(std::string_view op, std::string_view name) {
  if (const Format* format = find_format(name)) return *format;
  std::string known;
  for (const Format* format : kTable) known += fmt::format("{}{}", known.empty() ? "" : ", ", format->name);
  throw Error(ErrorCode::invalid_argument, fmt::format("[{}] no format is called '{}'; there are {}", op, name, known));
}

const Format& requested_format(std::string_view op, const QuantizeParams& params) {
  if (params.format != "affine") return format_named(op, params.format);
  if (const Format* format = find_format(fmt::format("affine{}-g{}", params.bits, params.group_size))) return *format;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("[{}] bits {}, group size {}: affine has bits 2, 3, 4, 5, 6, 8 and group sizes 32, 64, 128",
                          op, params.bits, params.group_size));
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
