#pragma once

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "nibble/io.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/tensor_impl.h"

// The bytes and values that the formats' own reference packages made (tests/goldens), one case for each format of the
// table and each type of its scales.

namespace nibble_test {

namespace nb = nibble;
using nb::DType;
using nb::Tensor;
using nb::detail::Format;

/// The values of a dense float tensor as f32.
inline std::vector<float> to_floats(const Tensor& t) {
  if (t.dtype() == DType::f32) return t.to_vector<float>();
  std::vector<float> out;
  if (t.dtype() == DType::f16) {
    for (const nb::float16 v : t.to_vector<nb::float16>()) out.push_back(static_cast<float>(v));
    return out;
  }
  if (t.dtype() == DType::bf16) {
    for (const nb::bfloat16 v : t.to_vector<nb::bfloat16>()) out.push_back(static_cast<float>(v));
    return out;
  }
  throw std::invalid_argument("not a float tensor");
}

/// The bytes of a contiguous dense tensor.
inline std::string bytes(const Tensor& t) {
  return {static_cast<const char*>(t.raw_data()), static_cast<std::size_t>(t.nbytes())};
}

/// Bit patterns, so that -0 differs from 0 and a NaN equals itself.
inline std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> out;
  for (const float v : values) out.push_back(std::bit_cast<std::uint32_t>(v));
  return out;
}

struct GoldenCase {
  std::string name;
  const Format* format;
  nb::Shape shape;
  std::vector<Tensor> components;
  std::vector<float> weight;  ///< what was packed
  std::vector<float> values;  ///< what it decodes to
  DType scale_dtype;
  bool is_random = false;  ///< made of random bits; `weight` is what they decode to

  std::int64_t k() const { return shape.back(); }
  std::int64_t rows() const { return shape.numel() / shape.back(); }
  Tensor packed() const { return nb::detail::make_packed(*format, components, shape, DType::f32); }
};

inline std::string golden_path(const std::string& file) {
  return std::string(NIBBLE_SOURCE_DIR) + "/tests/goldens/" + file;
}

inline GoldenCase golden_case(const nb::TensorMap& file, const std::string& prefix, const Tensor& weight,
                              const Format& format) {
  GoldenCase c{prefix,        &format, weight.shape(), {}, to_floats(weight), to_floats(file.at(prefix + ".values")),
               weight.dtype()};
  for (const auto& spec : format.components) c.components.push_back(file.at(prefix + "." + std::string(spec.name)));
  return c;
}

/// As the reference packs it; and any bits, which are nobody's weights.
inline std::vector<GoldenCase> cases_in(const nb::TensorMap& file, const std::string& name, const Format& format) {
  const std::string random = name + ".random";
  std::vector<GoldenCase> cases{golden_case(file, name, file.at("weight"), format)};
  if (file.contains(random + ".values")) {
    cases.push_back(golden_case(file, random, file.at(random + ".values"), format));
    cases.back().is_random = true;
  }
  return cases;
}
inline std::vector<GoldenCase> ggml_cases_of(const Format& format) {
  static const nb::TensorMap file = nb::load_safetensors(golden_path("ggml_blocks.safetensors")).tensors;
  return cases_in(file, std::string(format.name.substr(0, format.name.find("_gguf"))), format);
}
/// Of formats whose codes have scales beside them, in whichever file they are.
inline std::vector<GoldenCase> stream_cases_of(const Format& format) {
  static const std::vector<nb::TensorMap> files = [] {
    std::vector<nb::TensorMap> all;
    for (const char* file : {"mlx_fp.safetensors", "stored_floats.safetensors", "small_codes.safetensors"})
      all.push_back(nb::load_safetensors(golden_path(file)).tensors);
    return all;
  }();
  const std::string name(format.name);
  for (const nb::TensorMap& file : files) {
    if (file.contains(name + ".codes")) return cases_in(file, name, format);
  }
  throw std::out_of_range(name);
}

inline std::vector<GoldenCase> mlx_affine_cases_of(const Format& format) {
  static const nb::TensorMap mlx = nb::load_safetensors(golden_path("mlx_affine.safetensors")).tensors;
  const std::string grid = fmt::format("b{}_g{}", format.bits, format.group_size);
  std::vector<GoldenCase> cases;
  for (const std::string dtype : {"f32", "f16", "bf16"}) {
    cases.push_back(golden_case(mlx, fmt::format("{}_{}", grid, dtype), mlx.at(dtype + ".weight"), format));
  }
  if (grid == "b4_g64") {
    cases.push_back(golden_case(mlx, "experts_b4_g64_f32", mlx.at("experts_b4_g64_f32.weight"), format));
  }
  return cases;
}

inline std::vector<GoldenCase> golden_cases_of(const Format& format) {
  static const nb::TensorMap gguf = nb::load_safetensors(golden_path("gguf_blocks.safetensors")).tensors;
  const std::string name(format.name);
  if (format.mode == "affine") return mlx_affine_cases_of(format);
  if (format.components.size() > 1) return stream_cases_of(format);
  if (!gguf.contains(name + ".blocks")) return ggml_cases_of(format);
  return {golden_case(gguf, name, gguf.at("weight"), format)};
}

/// Every case of every format: a format of the table without goldens is an error here (at() throws).
inline std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> all;
  for (const Format* format : nb::detail::format_table()) {
    for (GoldenCase& c : golden_cases_of(*format)) all.push_back(std::move(c));
  }
  return all;
}

/// Whether the case's weights can be encoded: random blocks come from none.
inline bool can_encode(const GoldenCase& c) { return c.format->encode && !c.is_random; }
/// And whether that gives the reference's bytes; where ours is a search, it errs no more.
inline bool encodes_as_reference(const GoldenCase& c) {
  return can_encode(c) && c.format->rule != nb::detail::QuantizeRule::search;
}

/// Codes, scales and biases of one row, as Format::codes gives them.
struct RowCodes {
  std::vector<std::uint8_t> codes;
  std::vector<float> scales, biases;
};
inline RowCodes codes_of(const Format& format, const nb::detail::PackedRow& row, std::int64_t begin,
                         std::int64_t count) {
  RowCodes out;
  out.codes.resize(static_cast<std::size_t>(count));
  out.scales.resize(static_cast<std::size_t>(count / format.group_size));
  out.biases.resize(out.scales.size());
  format.codes(row, begin, count, out.codes.data(), out.scales.data(), out.biases.data());
  return out;
}
inline std::vector<float> decode_of(const Format& format, const nb::detail::PackedRow& row, std::int64_t begin,
                                    std::int64_t count) {
  std::vector<float> out(static_cast<std::size_t>(count));
  format.decode(row, begin, count, out.data());
  return out;
}
/// Row r of freshly filled components, for reading.
inline nb::detail::PackedRow row_of(const Format& format, const std::vector<Tensor>& components, std::int64_t r) {
  const nb::detail::MutablePackedRow row = nb::detail::mutable_packed_row(format, components, r);
  nb::detail::PackedRow out{{}, row.scale_dtype};
  std::copy(row.component.begin(), row.component.end(), out.component.begin());
  return out;
}

}  // namespace nibble_test
