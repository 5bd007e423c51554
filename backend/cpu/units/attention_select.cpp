#include "backend/cpu/units/attention_select.h"

#include <fmt/format.h>

#include <span>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr const AttentionUnit* kUnits[] = {
#if defined(__x86_64__)
    &kAvx512Attention,
    &kAvx2Attention,
#elif defined(__aarch64__)
    &kNeonAttention,
#endif
    &kScalarAttention,
};

/// Arithmetic that only some processors of a unit have.
struct FastPanel {
  std::string_view unit;
  const PanelKernel* kernel;
  bool (*runs_here)();
};
#if defined(__x86_64__)
constexpr FastPanel kFastPanels[] = {
    {"avx512", &kAvx512Bf16Panel, [] { return __builtin_cpu_supports("avx512bf16") != 0; }},
};
#else
constexpr std::span<const FastPanel> kFastPanels;
#endif

}  // namespace

const AttentionUnit& attention_unit(std::string_view unit) {
  for (const AttentionUnit* found : kUnits) {
    if (unit == found->name) return *found;
  }
  throw Error(ErrorCode::invalid_argument, fmt::format("[cpu] no attention for the unit {}", unit));
}

const PanelKernel& panel_kernel(const AttentionUnit& unit, Precision precision) {
  for (const FastPanel& fast : kFastPanels) {
    if (precision == Precision::fast && fast.unit == unit.name && fast.runs_here()) return *fast.kernel;
  }
  return unit.exact;
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
