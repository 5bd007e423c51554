#include "tests/backend/simde/native.h"

#define NIBBLE_BF16 kAvx512Bf16Simde
#define NIBBLE_BF16_PANEL kAvx512Bf16PanelSimde
#define NIBBLE_BF16_FEW_FLOATS kAvx512Bf16FewFloatsSimde
#define NIBBLE_HAS_BF16 true
#include "backend/cpu/units/avx512_bf16.cpp"
