#pragma once

#include <string>
#include <vector>

#include "backend/common/matmul_kernel.h"
#include "backend/cpu/units/unit.h"

namespace nibble_test {

/// A unit as the tests run it: natively, without a part of it, or compiled a second time through SIMDe where the
/// processor may lack it.
struct UnitUnderTest {
  std::string name;
  const nibble::detail::cpu::Unit* unit;
  std::vector<nibble::detail::MatmulKernel> kernels;
  bool emulated;
};
const std::vector<UnitUnderTest>& units_under_test();

/// NIBBLE_SOAK=1 runs every random case, else a fiftieth. Of units through SIMDe, which are slow, tests ask for fewer.
int repetitions(int all);
/// Whether they do: a test that then takes minutes says how far it is.
bool soaks();
/// Of this run's random cases: NIBBLE_SEED, else a fixed one, or another at each soak; printed once.
unsigned seed();

}  // namespace nibble_test
