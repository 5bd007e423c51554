// Formats whose rows are a stream of codes and, beside it, the scales of its groups, a file each. The scalar codec and
// every unit of the CPU include this inside their unnamed namespace, so each compiles these plain loops for its own
// instructions. A format is a type with
//   kName                   "nvfp4_global"
//   kMlxMode                what MLX calls it, where it does; "" where folders do not hold it
//   kBits, kGroup           of a code as stored; weights that share a scale
//   kSpecification
//   kKind                   of formats that GGUF has in blocks, see Format::stored
//   kInWords                whether codes stand in words, as MLX's, or in bytes
//   kHasOwnScales           whether scales have the weight's own float type, or are bytes
//   kHasGlobal              whether rows have a scale of their own besides, an f32
//   scale(row, g)           of group g; a row has component[c], and its kind is the includer's
//   number(stream, i)       what code i stands for: value = scale · number
//   Number                  where they are floats of eight bits: which, see fp8.inl.h
//   names(stream, count, names), kTable  where codes name numbers that are no integers of one unit: those of weights,
//                           one a byte, and the numbers
//   kUnits                  of those, how many units a 1 has where they are rounded to 16 bits
//   encode(w, global, is_finite, stream)  a group, which decodes to no number where it is not finite; returns its
//                           scale, or its byte
//   kHasExponents, kHasE4M3Scales  what the bytes of scales are, where kernels know them; of the latter factor(row), by
//                           which all of a row are multiplied
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

#include "quant_tensor/formats/centred.inl.h"
#include "quant_tensor/formats/streams/bnb_fp4.inl.h"
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
    List<Mxfp4, Mxfp8, Nvfp4, GlobalNvfp4, DividedNvfp4, Nf4, Nf3, BnbFp4, Fp4, Fp8<E4M3>, Fp8<E5M2>, Int2, Int3, Int8>;

template <class Stream>
constexpr bool has_codes = requires {
  Stream::kCodeBits;
};
template <class Stream>
constexpr bool has_names = requires {
  Stream::kTable;
};
