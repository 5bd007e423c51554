// Formats whose rows are a stream of codes and, beside it, the scales of its groups, a file each. The scalar codec and
// every unit of the CPU include this inside their unnamed namespace, so each compiles these plain loops for its own
// instructions. A format is a type with
//   kName, kMode            "nvfp4_global", and what MLX, or else a folder of our own, calls it
//   kBits, kGroup           of a code as stored; weights that share a scale
//   kSpecification
//   kInWords                whether codes stand in words, as MLX's, or in bytes
//   kHasOwnScales           whether scales have the weight's own float type, or are bytes
//   kHasGlobal              whether rows have a scale of their own besides, an f32
//   scale(row, g)           of group g; a row has component[c], and its kind is the includer's
//   number(stream, i)       what code i stands for: value = scale · number
//   names(stream, count, names), kTable  where codes name numbers that are no integers of one unit: those of weights, one
//                           a byte, and the numbers
//   encode(w, global, is_finite, stream)  a group, which decodes to no number where it is not finite; returns its
//                           scale, or its byte
//   global_of(most)         the scale of a row whose largest magnitude that is
// and, where numbers are integers of some unit,
//   kCodeBits, kZero, kUnit number == kUnit · (code − kZero)
//   codes(stream, count, codes)  unsigned, one a byte
//   put(code, i, stream)    in place of `encode`, where a search is for the scale that leaves the smallest error
// own_scale(row, c, i), scale i of component c in the weight's own float type, is the includer's.

template <class Row>
inline std::uint32_t byte_of(const Row& row, int component, std::int64_t i) {
  return reinterpret_cast<const unsigned char*>(row.component[component])[i];
}
template <class Row>
inline float float_of(const Row& row, int component, std::int64_t i) {
  float value;
  __builtin_memcpy(&value, row.component[component] + 4 * i, 4);
  return value;
}

#include "quant_tensor/formats/streams/fp4.inl.h"
#include "quant_tensor/formats/streams/fp8.inl.h"
#include "quant_tensor/formats/streams/int2.inl.h"
#include "quant_tensor/formats/streams/int3.inl.h"
#include "quant_tensor/formats/streams/int8.inl.h"
#include "quant_tensor/formats/streams/mxfp4.inl.h"
#include "quant_tensor/formats/streams/mxfp8.inl.h"
#include "quant_tensor/formats/streams/normal_floats.inl.h"
#include "quant_tensor/formats/streams/nvfp4.inl.h"

/// List<all of them>.
template <template <class...> class List>
using AllStreams =
    List<Mxfp4, Mxfp8, Nvfp4, GlobalNvfp4, DividedNvfp4, Nf4, Nf3, Fp4, Fp8E4M3, Fp8E5M2, Int2, Int3, Int8>;

/// By twice the zero: where scale · code might overflow, the bias is infinite and tells.
template <class Stream>
inline float bias_of(float scale) {
  return scale * (-2.f * Stream::kZero) * 0.5f;
}

template <class Stream>
constexpr bool has_codes = requires {
  Stream::kCodeBits;
};
template <class Stream>
constexpr bool has_names = requires {
  Stream::kTable;
};
