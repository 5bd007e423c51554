#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx2Simde
#define NIBBLE_FLOATS kAvx2FloatsSimde
#include "backend/cpu/units/avx2.cpp"
