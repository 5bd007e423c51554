#pragma once

// SIMDe under the names of the instruction set's own header, so that a unit's source compiles as it stands for a
// processor that lacks it.
#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_FLOAT16_API 1  // portable: compilers do not agree on how _Float16 is passed
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#ifndef _MM_FROUND_NO_EXC  // has no alias
#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC
#endif
#include "tests/backend/simde/missing.h"
