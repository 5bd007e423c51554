#pragma once

#include <span>
#include <string_view>

#include "backend/common/matmul_kernel.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// The kernel table of the instruction-set unit in use (see cpu_unit()). Throws Error(invalid_argument) where
/// NIBBLE_ISA names no unit of this machine.
std::span<const MatmulKernel> cpu_matmul_kernels();

/// The table of one unit that this processor runs, by name: for tests and benchmarks, which walk them all.
std::span<const MatmulKernel> cpu_matmul_kernels(std::string_view unit);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
