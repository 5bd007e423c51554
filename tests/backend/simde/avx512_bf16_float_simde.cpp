#include "tests/backend/simde/native.h"

#define NIBBLE_PAIRS kAvx512Bf16PairsSimde
#define NIBBLE_HAS_BF16 true
#include "backend/cpu/units/avx512_bf16_float.cpp"
