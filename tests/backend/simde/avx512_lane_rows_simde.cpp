#define SIMDE_NO_INLINE  // else hundreds of unrolled products take the compiler minutes
#include "tests/backend/simde/native.h"

#define NIBBLE_LANE_ROWS kAvx512LaneRowsSimde
#include "backend/cpu/units/avx512_lane_rows.cpp"
