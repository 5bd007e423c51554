#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx512Simde
#include "backend/cpu/units/avx512.cpp"
