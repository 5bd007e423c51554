// AVX-512 with VNNI: all four columns of a block in a vector, a group in each lane.
#ifndef NIBBLE_FEW_BLOCKS  // the tests define it to compile this file again through SIMDe
#define NIBBLE_FEW_BLOCKS kAvx512FewBlocks
#include <immintrin.h>
#endif

#include "backend/cpu/units/few_rows.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/avx512_floats.inl.h"
#include "backend/cpu/units/avx512_integers.inl.h"
#include "backend/cpu/units/each.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"

constexpr int kPackedRows = 2;  // that share what is loaded of x

#include "backend/cpu/units/avx512_columns.inl.h"
// what walks through blocks
#include "backend/cpu/units/few_blocks.inl.h"
// what these have for some of its formats, before they are instantiated
#include "backend/cpu/units/avx512_grids.inl.h"
// which lends the next one its bytes
#include "backend/cpu/units/avx512_digits.inl.h"
// all formats
#include "backend/cpu/units/few_streams.inl.h"
#include "backend/cpu/units/few_table.inl.h"

}  // namespace

extern const FewRowsKernels NIBBLE_FEW_BLOCKS;
const FewRowsKernels NIBBLE_FEW_BLOCKS = {kFewKernels, sizeof(kFewKernels) / sizeof(FewRowsKernel)};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
