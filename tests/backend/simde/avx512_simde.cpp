#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx512Simde
#define NIBBLE_FLOATS kAvx512FloatsSimde
#define NIBBLE_FEW_ROWS kAvx512FewRowsSimde
#define NIBBLE_PAIRS kAvx512Bf16PairsSimde
#include "backend/cpu/units/avx512.cpp"
