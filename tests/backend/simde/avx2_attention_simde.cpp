#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx2AttentionSimde
#include "backend/cpu/units/avx2_attention.cpp"
