#include "backend/cpu/units/select.h"

#include <fmt/format.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include "backend/cpu/units/neon_features.h"
#endif
#include <cstdlib>
#include <string>
#include <vector>

#include "nibble/device.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

bool always() { return true; }
#if defined(__x86_64__)
/// clang 14's __builtin_cpu_supports does not know f16c.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
}
#endif

struct Candidate {
  const Unit* unit;
  bool (*runs_here)();
};
/// By priority.
constexpr Candidate kCandidates[] = {
#if defined(__x86_64__)
    {&kAvx512Unit, has_avx512},
    {&kAvx2Unit, has_avx2},
#elif defined(__aarch64__)
    {&kNeonUnit, has_dot_products},
#endif
    {&kScalarUnit, always},
};

std::string names() {
  std::string list;
  for (const Unit* unit : available_units()) list += (list.empty() ? "" : ", ") + std::string(unit->name);
  return list;
}

const Unit& choose() {
  const char* forced = std::getenv("NIBBLE_ISA");
  if (forced == nullptr || *forced == '\0') return *available_units().front();
  if (const Unit* unit = find_unit(forced)) return *unit;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("[cpu] NIBBLE_ISA={}: this machine runs the units {}", forced, names()));
}

}  // namespace

std::span<const Unit* const> available_units() {
  static const std::vector<const Unit*> units = [] {
    std::vector<const Unit*> found;
    for (const Candidate& candidate : kCandidates) {
      if (candidate.runs_here()) found.push_back(candidate.unit);
    }
    return found;
  }();
  return units;
}

const Unit* find_unit(std::string_view name) {
  for (const Unit* unit : available_units()) {
    if (name == unit->name) return unit;
  }
  return nullptr;
}

const Unit& current_unit() {
  static const Unit& unit = choose();  // where it throws, the next call tries again
  return unit;
}

}  // namespace cpu
}  // namespace detail

std::vector<std::string> cpu_units() {
  std::vector<std::string> names;
  for (const detail::cpu::Unit* unit : detail::cpu::available_units()) names.emplace_back(unit->name);
  return names;
}

std::string cpu_unit() { return detail::cpu::current_unit().name; }

}  // namespace v0
}  // namespace nibble
