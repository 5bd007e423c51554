#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx2Simde
#include "backend/cpu/units/avx2.cpp"
