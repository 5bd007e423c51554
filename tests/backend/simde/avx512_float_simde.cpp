#include "tests/backend/simde/native.h"

#define NIBBLE_FLOATS kAvx512FloatsSimde
#include "backend/cpu/units/avx512_float.cpp"
