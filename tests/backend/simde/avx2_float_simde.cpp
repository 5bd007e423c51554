#include "tests/backend/simde/native.h"

#define NIBBLE_FLOATS kAvx2FloatsSimde
#include "backend/cpu/units/avx2_float.cpp"
