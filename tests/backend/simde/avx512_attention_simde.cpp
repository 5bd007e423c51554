#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx512AttentionSimde
#include "backend/cpu/units/avx512_attention.cpp"
