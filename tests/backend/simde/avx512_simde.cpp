#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx512Simde
#define NIBBLE_FLOATS kAvx512FloatsSimde
#include "backend/cpu/units/avx512.cpp"
