#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx512Simde
#define NIBBLE_FLOATS kAvx512FloatsSimde
#define NIBBLE_FEW_ROWS kAvx512FewRowsSimde
#define NIBBLE_LANE_ROWS kAvx512LaneRowsSimde
#define NIBBLE_ATTENTION kAvx512AttentionSimde
#define NIBBLE_BF16 kAvx512Bf16Simde
#include "backend/cpu/units/avx512.cpp"
