#pragma once

#include <span>
#include <vector>

#include "backend/common/matmul_kernel.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// The kernel table of the instruction-set unit in use (see cpu_unit()). Throws Error(invalid_argument) where
/// NIBBLE_ISA names no unit of this machine.
std::span<const MatmulKernel> cpu_matmul_kernels();

namespace cpu {

/// The kernel table of a unit: for tests, which walk them all.
std::vector<MatmulKernel> kernels_of(const Unit& unit);

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
