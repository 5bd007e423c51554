#pragma once

#include <span>
#include <string_view>

#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// The units that this processor runs, best first.
std::span<const Unit* const> available_units();
/// The best one, or the one that NIBBLE_ISA names. Throws Error(invalid_argument) where that is none of this machine.
const Unit& current_unit();
/// The one of that name that this processor runs; null where there is none.
const Unit* find_unit(std::string_view name);

/// The unit's products of bf16, where this processor has them; else null.
inline const Bf16Unit* bf16_of(const Unit& unit) {
  return unit.bf16 != nullptr && unit.bf16->runs_here() ? unit.bf16 : nullptr;
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
