#include "tests/backend/simde/native.h"

#define NIBBLE_FEW_ROWS kAvx512FewRowsSimde
#include "backend/cpu/units/avx512_few_rows.cpp"
