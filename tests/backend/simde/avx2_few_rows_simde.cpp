#define SIMDE_NO_INLINE  // else hundreds of unrolled products take the compiler minutes
#include "tests/backend/simde/native.h"

#define NIBBLE_FEW_ROWS kAvx2FewRowsSimde
#define NIBBLE_FEW_BLOCKS kAvx2FewBlocksSimde
#include "backend/cpu/units/avx2_few_rows.cpp"
