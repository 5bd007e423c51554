#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "nibble/error.h"
#include "quant_tensor/formats/block_formats.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/formats/stream_formats.h"

namespace nibble {
inline namespace v0 {
namespace detail {

// The formats with a .cpp of their own, and below their place in the table. Those of blocks/ and streams/ are named in
// the all.inl.h there.
extern const Format mlx_affine_formats[18];
extern const Format q4_0_format, q4_1_format, q5_0_format, q5_1_format, q8_0_format;

std::span<const Format* const> format_table() {
  static const std::vector<const Format*> table = [] {
    std::vector<const Format*> all;
    for (const Format& format : mlx_affine_formats) all.push_back(&format);
    for (const Format* format : {&q4_0_format, &q4_1_format, &q5_0_format, &q5_1_format, &q8_0_format})
      all.push_back(format);
    for (const Format& format : block_formats()) all.push_back(&format);
    for (const Format& format : stream_formats()) all.push_back(&format);
    return all;
  }();
  return table;
}

namespace {

/// Names are of lower case, and '-' and '_' are one to whoever writes "Q4_K" or "fp8-e4m3".
char plain(char c) { return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

const Format* find_format(std::string_view name) {
  for (const Format* format : format_table()) {
    if (std::ranges::equal(format->name, name, {}, plain, plain)) return format;
  }
  return nullptr;
}

const Format& format_named(std::string_view op, std::string_view name) {
  if (const Format* format = find_format(name)) return *format;
  std::string known;
  for (const Format* format : format_table()) known += fmt::format("{}{}", known.empty() ? "" : ", ", format->name);
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
