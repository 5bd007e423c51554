#include "tests/backend/simde/native.h"

#define NIBBLE_UNIT kAvx512Bf16PanelSimde
#include "backend/cpu/units/avx512_bf16_attention.cpp"
