#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx2Simde
#define NIBBLE_FLOATS kAvx2FloatsSimde
#define NIBBLE_FEW_ROWS kAvx2FewRowsSimde
#define NIBBLE_ATTENTION kAvx2AttentionSimde
#include "backend/cpu/units/avx2.cpp"
