#pragma once

#include <string_view>

#include "backend/cpu/units/attention.h"
#include "nibble/options.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// That of the unit of this name. Throws Error(invalid_argument) for another.
const AttentionUnit& attention_unit(std::string_view unit);

/// How this processor computes panels at that precision: in fp32, or where the caller asks for speed in anything
/// narrower that is faster.
const PanelKernel& panel_kernel(const AttentionUnit& unit, Precision precision);

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
