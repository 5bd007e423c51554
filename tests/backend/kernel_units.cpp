#include "tests/backend/kernel_units.h"

#include <cstdio>
#include <cstdlib>
#include <random>

#include "backend/cpu/matmul.h"
#include "backend/cpu/units/select.h"

namespace nibble::inline v0::detail::cpu {
extern const Unit kAvx2Simde;
extern const Unit kAvx512Simde;
}  // namespace nibble::inline v0::detail::cpu

namespace nibble_test {

namespace cpu = nibble::detail::cpu;

#ifdef __x86_64__
namespace {

cpu::Unit without_bf16(cpu::Unit unit) {
  unit.bf16 = nullptr;
  return unit;
}

}  // namespace
#endif

const std::vector<UnitUnderTest>& units_under_test() {
  static const std::vector<UnitUnderTest> units = [] {
    std::vector<UnitUnderTest> found;
    const bool emulated = std::getenv("NIBBLE_EMULATED") != nullptr;  // the whole processor, for tests of another one
    for (const cpu::Unit* unit : cpu::available_units()) {
      found.push_back({unit->name, unit, cpu::kernels_of(*unit), emulated});
    }
#ifdef __x86_64__
    // Where this processor has products of bf16, what a unit has for others that lack them; a few cases will do.
    static const cpu::Unit plain = without_bf16(cpu::kAvx512Unit);
    if (cpu::find_unit(plain.name) != nullptr && cpu::bf16_of(cpu::kAvx512Unit) != nullptr) {
      found.push_back({"avx512_without_bf16", &plain, cpu::kernels_of(plain), true});
    }
#endif
#ifdef NIBBLE_TEST_SIMDE_AVX2
    found.push_back({"avx2_simde", &cpu::kAvx2Simde, cpu::kernels_of(cpu::kAvx2Simde), true});
#endif
#ifdef NIBBLE_TEST_SIMDE_AVX512
    found.push_back({"avx512_simde", &cpu::kAvx512Simde, cpu::kernels_of(cpu::kAvx512Simde), true});
#endif
    return found;
  }();
  return units;
}

bool soaks() {
  const char* soak = std::getenv("NIBBLE_SOAK");
  return soak != nullptr && *soak == '1';
}

int repetitions(int all) { return soaks() ? all : (all + 49) / 50; }

unsigned seed() {
  static const unsigned value = [] {
    const char* given = std::getenv("NIBBLE_SEED");
    const unsigned own = soaks() ? std::random_device()() : 20240607u;
    const unsigned chosen = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : own;
    std::printf("NIBBLE_SEED=%u\n", chosen);
    return chosen;
  }();
  return value;
}

}  // namespace nibble_test
