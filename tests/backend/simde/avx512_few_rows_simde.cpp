#define SIMDE_NO_INLINE  // else hundreds of unrolled products take the compiler minutes
#include "tests/backend/simde/native.h"

#define NIBBLE_FEW_ROWS kAvx512FewRowsSimde
#define NIBBLE_FEW_BLOCKS kAvx512FewBlocksSimde
#include "backend/cpu/units/avx512_few_rows.cpp"
