#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "nibble/quantization.h"
#include "quant_tensor/tensor/packing.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// One packed row, as kernels and codecs see it: a pointer for each component, and the dtype of scales where it varies.
struct PackedRow {
  std::array<const std::byte*, kMaxComponents> component{};
  DType scale_dtype = DType::f32;
};
struct MutablePackedRow {
  std::array<std::byte*, kMaxComponents> component{};
  DType scale_dtype = DType::f32;
};

/// One named buffer of a format. How much of it a row takes, `Format::width` says.
struct ComponentSpec {
  std::string_view name;
  bool is_scale = false;  ///< stored in the weight's own float type (f32, f16 or bf16); else in `dtype`
  DType dtype = DType::u8;
  bool of_row = false;  ///< of whole rows: `width` does not depend on their length
};

/// By which rule weights become codes and scales.
enum class QuantizeRule : std::uint8_t {
  own,         ///< the bytes of the format's reference implementation
  mlx_affine,  ///< the same, which units have a faster version of
  search,      ///< a search of our own, with no larger error than the reference's
};

/// A weight format: what its bytes mean, and a scalar reference codec, which is the oracle for every kernel.
/// To add one, write a file in streams or blocks and name it in their all.inl.h.
struct Format {
  std::string_view name;  ///< "affine4-g64", "q4_0"
  Family family = Family::affine;
  int bits = 4;          ///< of a code
  int code_bits = bits;  ///< of what `codes` gives: a table may stand between
  int group_size = 32;   ///< weights that share a scale
  int block = 32;        ///< the fewest weights that can be cut from a row: whole groups and component elements
  std::span<const ComponentSpec> components;
  /// Elements (of the component's dtype) that component `c` has for a row of k weights.
  std::int64_t (*width)(int c, std::int64_t k) = nullptr;
  /// fp32 values of weights [begin, begin + count) of a row, both multiples of `block`: the bits that the format's own
  /// reference implementation gives.
  void (*decode)(const PackedRow& row, std::int64_t begin, std::int64_t count, float* out) = nullptr;
  /// Packs a row of k weights by `rule`; null where there is no encoder. A group with a weight that is not finite
  /// decodes to no finite value, so it cannot pass unseen.
  void (*encode)(const float* weights, std::int64_t k, const MutablePackedRow& row) = nullptr;
  QuantizeRule rule = QuantizeRule::own;  ///< of `encode`
  /// Formats whose values are scaled integers: unsigned codes, one a byte, and fp32 scale and bias of each group, so
  /// that value == scale · code + bias (one product, one sum, each rounded) or, of a format with a zero, scale ·
  /// (code − zero), of which the bias is −zero · scale as far as that can be had. No -0 comes out of these; where a
  /// scale is not finite, no value is, but an infinity of decode may be a NaN here.
  void (*codes)(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes, float* scales,
                float* biases) = nullptr;
  int zero = 0;  ///< the code whose value is 0, whatever the scale; 0: groups have biases of their own
  /// The inverse of `codes` for a whole row: builds it from codes and the scale and bias of each group without
  /// rounding; false where a number has no exact place in the format. Null where there is none.
  bool (*assemble)(const std::uint8_t* codes, const float* scales, const float* biases, std::int64_t k,
                   const MutablePackedRow& row) = nullptr;
  /// Formats of one kind have the same codes and the same bytes of scales, and differ only in where a row keeps them:
  /// as they are stored, a byte each, taken out and put back. Both counts are multiples of `block`.
  struct StoredBytes {
    std::string_view kind = {};
    void (*take)(const PackedRow& row, std::int64_t begin, std::int64_t count, std::uint8_t* codes,
                 std::uint8_t* scales) = nullptr;
    void (*put)(const std::uint8_t* codes, const std::uint8_t* scales, std::int64_t k,
                const MutablePackedRow& row) = nullptr;
  } stored = {};
  /// A block is one component: an f16 scale, then each weight as a signed byte.
  bool signed_bytes = false;
  /// Where codes name numbers, or rows of them: those, a byte each. Devices are given them beside the components.
  struct Numbers {
    const void* data = nullptr;
    std::size_t bytes = 0;
  } numbers = {};
  double bits_per_weight = 0;
  std::string_view mode = {};  ///< see FormatInfo
  int mode_version = 0;        ///< see FormatInfo
  std::optional<std::uint32_t> ggml_type = {};
  std::string_view specification;
};

/// All rows of the format table.
std::span<const Format* const> format_table();
/// The row of that name, in either case and with '-' or '_'; null if there is none.
const Format* find_format(std::string_view name);
/// The same; where there is none, throws Error(invalid_argument) naming `op` and all there are.
const Format& format_named(std::string_view op, std::string_view name);
/// The format that `quantize` is asked for: params.format, or affine with its bits and group size. Throws
/// as format_named does.
const Format& requested_format(std::string_view op, const QuantizeParams& params);

/// Row r of a packed tensor's storage (absolute, before `begin`).
PackedRow packed_row(const Packing& packing, std::int64_t r);
/// Row r of components that are still being filled.
MutablePackedRow mutable_packed_row(const Format& format, std::span<const Tensor> components, std::int64_t r);
/// The storage row of the i-th row of a packed tensor, counting through its unpacked axes in row-major order.
std::int64_t storage_row(const Tensor& packed, std::int64_t i);

/// Uninitialised components for a weight of that shape packed along its last axis; scales in `scale_dtype`. By default
/// they lie on the host.
std::vector<Tensor> allocate_components(
    const Format& format, const Shape& shape, DType scale_dtype,
    const std::function<Tensor(const Shape& shape, DType dtype)>& allocate = make_dense);

/// Checks components against the format and shape and makes the packed tensor, of logical type `dtype`; the packed axis
/// is the last of `shape`. Copies only components that are not contiguous. Errors begin with `[op]`.
Tensor make_packed(const Format& format, std::span<const Tensor> components, const Shape& shape, DType dtype,
                   std::string_view op = "from_components");

}  // namespace detail
}  // namespace v0
}  // namespace nibble
