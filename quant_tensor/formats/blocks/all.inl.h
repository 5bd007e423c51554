// Formats whose rows are runs of blocks with codes and scales of their own packing, a file each. The scalar codec and
// every unit of the CPU include this inside their unnamed namespace, so each compiles these plain loops for its own
// instructions; half_to_float(bits) is theirs. A format is a type with
//   kName, kGgmlType            "q4_k", 12
//   kWeights, kBytes            of a block
//   kGroup                      weights that share a scale
//   kBits, kCodeBits            of a code as stored, and of those that `codes` gives
//   kGrid                       rows of numbers that a code names, where it does
//   kTable                      what a stored code stands for, where it is not the code itself
//   kHasFloats                  of a kTable, where its numbers are floats of a few bits
//   kZero                       the code that means zero: value = scale · (code − kZero); 0 where groups have a bias
//                               of their own: value = scale · code + bias
//   kKind                       of those that MLX has as a stream, see Format::stored
//   codes(block, codes)         unsigned, one a byte
//   names(block, names)         of those that have a kTable, where units look numbers up in it: codes as stored, one a
//                               byte
//   scales(block, scale[, bias])  one a group
//   kSpecification              where that is not gguf-py
// and what its encoder needs, see block_formats.cpp, or encode(x, spoiled, block), a rule of its own, where `spoiled`
// joins the scale. Where few rows of x would wait for `codes`, it says how they come
// out of vectors, see columns.inl.h.

#include "quant_tensor/formats/blocks/iq1_m.inl.h"
#include "quant_tensor/formats/blocks/iq1_s.inl.h"
#include "quant_tensor/formats/blocks/iq2_s.inl.h"
#include "quant_tensor/formats/blocks/iq2_xs.inl.h"
#include "quant_tensor/formats/blocks/iq2_xxs.inl.h"
#include "quant_tensor/formats/blocks/iq3_s.inl.h"
#include "quant_tensor/formats/blocks/iq3_xxs.inl.h"
#include "quant_tensor/formats/blocks/iq4_nl.inl.h"
#include "quant_tensor/formats/blocks/iq4_xs.inl.h"
#include "quant_tensor/formats/blocks/mxfp4.inl.h"
#include "quant_tensor/formats/blocks/nvfp4.inl.h"
#include "quant_tensor/formats/blocks/q2_k.inl.h"
#include "quant_tensor/formats/blocks/q3_k.inl.h"
#include "quant_tensor/formats/blocks/q4_k.inl.h"
#include "quant_tensor/formats/blocks/q5_k.inl.h"
#include "quant_tensor/formats/blocks/q6_k.inl.h"
#include "quant_tensor/formats/blocks/q8_k.inl.h"
#include "quant_tensor/formats/blocks/tq1_0.inl.h"
#include "quant_tensor/formats/blocks/tq2_0.inl.h"
#include "quant_tensor/formats/centred.inl.h"

/// List<all of them>.
template <template <class...> class List>
using AllBlocks = List<Q8K, Q2K, Q3K, Q4K, Q5K, Q6K, IQ1S, IQ1M, IQ2XXS, IQ2XS, IQ2S, IQ3XXS, IQ3S, IQ4NL, IQ4XS, MXFP4,
                       NVFP4, TQ1_0, TQ2_0>;

/// Scale and bias of each group of a block: value = scale · code + bias for all of them.
template <class Block>
inline void scales_and_biases(const unsigned char* block, float* scale, float* bias) {
  if constexpr (Block::kZero == 0) {
    Block::scales(block, scale, bias);
  } else {
    Block::scales(block, scale);
    for (int g = 0; g < Block::kWeights / Block::kGroup; ++g) bias[g] = bias_of<Block>(scale[g]);
  }
}
