#include "adapters/files/ggml_types.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "adapters/files/packed_pieces.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// ggml.h's enum ggml_type but for the formats that nibble computes with, sizes as in gguf-py's GGML_QUANT_SIZES.
const GgmlType kOtherTypes[] = {
    {0, "F32", 1, 4, DType::f32},  {1, "F16", 1, 2, DType::f16},  {9, "Q8_1", 32, 36},
    {24, "I8", 1, 1, DType::i8},   {25, "I16", 1, 2, DType::i16}, {26, "I32", 1, 4, DType::i32},
    {27, "I64", 1, 8, DType::i64}, {28, "F64", 1, 8, DType::f64}, {30, "BF16", 1, 2, DType::bf16},
    {41, "Q1_0", 128, 18},
};

/// A format that GGUF has a number for; GGUF writes the same name in capitals, without what tells it from MLX's.
GgmlType type_of(const FormatInfo& info) {
  std::string name = info.name.substr(0, info.name.find("_gguf"));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return {*info.ggml_type,
          name,
          static_cast<std::uint32_t>(info.block),
          static_cast<std::uint32_t>(block_bytes(info, DType::f32)),
          {},
          info.name};
}

const std::vector<GgmlType>& known_types() {
  static const std::vector<GgmlType> types = [] {
    std::vector<GgmlType> all(std::begin(kOtherTypes), std::end(kOtherTypes));
    for (const FormatInfo& info : known_formats()) {
      if (info.ggml_type) all.push_back(type_of(info));
    }
    return all;
  }();
  return types;
}

template <class Member, class Value>
const GgmlType* find_by(Member member, const Value& value) {
  const auto found = std::ranges::find(known_types(), value, member);
  return found == known_types().end() ? nullptr : &*found;
}

}  // namespace

const GgmlType* find_ggml_type(std::uint32_t id) { return find_by(&GgmlType::id, id); }
const GgmlType* ggml_type_of(DType dtype) { return find_by(&GgmlType::dtype, std::optional(dtype)); }
const GgmlType* ggml_type_of(std::string_view format) {
  return format.empty() ? nullptr : find_by(&GgmlType::format, format);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
