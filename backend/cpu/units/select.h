#pragma once

#include <span>

#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// The units that this processor runs, best first.
std::span<const Unit* const> available_units();
/// The best one, or the one that NIBBLE_ISA names. Throws Error(invalid_argument) where that is none of this machine.
const Unit& current_unit();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
