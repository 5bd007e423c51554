#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {

/// What a weight's code means. In each, `scale` and `bias` belong to a group of neighbours along the packed axis.
enum class Family : std::uint8_t {
  affine,     ///< scale · q + bias, q an unsigned integer
  codebook,   ///< scale · table[q]
  minifloat,  ///< scale · float(q)
  grid,       ///< scale · (grid[q] · sign + delta); one code names several weights
};

/// One named buffer of a format.
struct ComponentInfo {
  std::string name;            ///< "codes", "scales", "blocks"
  std::optional<DType> dtype;  ///< none: the weight's own float type
  int width;                   ///< elements for each `FormatInfo::block` weights
  bool of_row = false;         ///< or, where this is set, for a whole row
};

/// One row of the format table.
struct FormatInfo {
  std::string name;  ///< "affine4-g64", "q4_0"
  Family family;
  int bits;                               ///< of one code
  int group_size;                         ///< weights that share a scale
  int block;                              ///< the fewest weights that a row can be cut at: rows are whole blocks
  std::vector<ComponentInfo> components;  ///< the first holds the codes
  double bits_per_weight;                 ///< all components together; for affine with 16-bit scales
  std::string mode;  ///< in config.json: MLX's ("affine"), else our own; empty where folders do not hold it
  int mode_version;  ///< what stands beside our own modes there; 0 where the mode is MLX's
  std::optional<std::uint32_t> ggml_type;  ///< its number among GGUF's tensor types
  std::string specification;               ///< where the format is defined
};
/// Every format that this build reads and computes with.
NIBBLE_API std::vector<FormatInfo> formats();
/// The one of that name, if there is one. Here and wherever a format is asked for, "Q4_K" is q4_k and "fp8-e4m3" is
/// fp8_e4m3: capitals, and '-' for '_' or the other way round, make no difference.
NIBBLE_API std::optional<FormatInfo> format_info(std::string_view name);

/// Named buffers that together hold a packed tensor: codes, scales, biases; for GGUF formats only blocks. One more is
/// there, last, where rows are stored in another order than that of their axis, so that groups are not of neighbours
/// (GPTQ's desc_act): kInputOrder, i32 (K,), a permutation. Stored weight j is entry input_order[j] of the packed axis.
inline constexpr std::string_view kInputOrder = "input_order";
using Components = std::vector<std::pair<std::string, Tensor>>;

/// How a tensor is packed, as a caller sees it.
struct PackingView {
  FormatInfo format;
  int axis;               ///< the packed axis of the tensor's shape
  Components components;  ///< shape of the tensor with the packed axis moved last and replaced by the packed width
};
/// Throws Error(invalid_argument) for a dense tensor.
NIBBLE_API PackingView packing_of(const Tensor& packed);

/// The packing of affine weights; the defaults are MLX's.
struct AffineParams {
  int bits = 4;         ///< 2, 3, 4, 5, 6 or 8
  int group_size = 64;  ///< 32, 64 or 128
  auto operator<=>(const AffineParams&) const = default;
};

/// A packed tensor over MLX's affine triplet: w = scales · q + biases for each group of `group_size` along the last
/// axis. codes (…, N, K·bits/32) u32: one little-endian bit stream a row; scales and biases (…, N, K/group_size), f32,
/// f16 or bf16, alike; result (…, N, K) with the scales' dtype. Nothing is copied where components are contiguous.
/// Throws Error(shape_mismatch | dtype_mismatch | invalid_argument).
/// Defined by MLX's `quantize`, ml-explore/mlx.
NIBBLE_API Tensor from_quantized(const Tensor& codes, const Tensor& scales, const Tensor& biases,
                                 AffineParams params = {});

/// A packed tensor of any format over its own components: `from_components("q4_0", {{"blocks", bytes}}, {n, k})`.
/// Blocks are u8 (…, N, bytes of a row). `dtype` is the logical dtype; without one it is the scales' for affine, else
/// f32. With kInputOrder among them operations permute what the rows meet: `matmul(x, wᵀ)` is that of
/// `take(x, input_order, -1)` and the rows as they are stored.
NIBBLE_API Tensor from_components(std::string_view format, const Components& components, const Shape& shape,
                                  std::optional<DType> dtype = {});

/// What `quantize` makes: a format's full name ("q8_0", "affine3-g32"), or "affine" with bits and group_size.
struct QuantizeParams {
  int bits = 4;
  int group_size = 64;
  std::string format = "affine";
};

/// Packs w (…, N, K) along its last axis. Affine scales and biases get w's dtype (f32, f16 or bf16). Throws
/// Error(shape_mismatch) where the group does not divide K, Error(unsupported) for a format without an encoder.
NIBBLE_API Tensor quantize(const Tensor& w, const QuantizeParams& params = {});

/// The values of a packed tensor, same shape, as `dtype` (default: its logical dtype): its fp32 decode, rounded once.
/// A dense tensor is only cast. Asked for by name, so not counted as a fallback.
NIBBLE_API Tensor dequantize(const Tensor& w, std::optional<DType> dtype = {});

inline bool is_quantized(const Tensor& w) { return w.is_quantized(); }

/// The same numbers in another format without any loss: q4_0, q4_1 → affine4-g32, q5_0, q5_1 → affine5-g32, q8_0 →
/// affine8-g32 (scales f16, or f32 where a bias has no exact f16), and affine4 with f16 scales → q4_1, affine5
/// → q5_1; mxfp4 ↔ mxfp4_gguf and nvfp4 ↔ nvfp4_gguf, whose bytes lie otherwise. Throws Error(unsupported) where no
/// lossless re-expression exists. Made on the CPU; the result lies where `packed` does.
NIBBLE_API Tensor reexpress(const Tensor& packed, std::string_view format);

/// Whether it is known beforehand that `to` has a place for the numbers of `from`, whose own scales, if it has any, are
/// of dtype `scales`: of other pairs each tensor's numbers decide. `reexpress` may still refuse a scale that is not
/// finite, or negative where one of two layouts of the same bytes has no sign. Throws Error(invalid_argument) where no
/// format is called so.
NIBBLE_API bool holds_numbers_of(std::string_view to, std::string_view from, DType scales);

}  // namespace v0
}  // namespace nibble
