#define SIMDE_NO_INLINE  // else hundreds of unrolled products take the compiler minutes
#include "tests/backend/simde/native.h"

#define NIBBLE_BF16_FEW_FLOATS kAvx512Bf16FewFloatsSimde
#include "backend/cpu/units/avx512_bf16_few_floats.cpp"
