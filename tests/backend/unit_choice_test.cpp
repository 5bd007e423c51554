#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "backend/cpu/matmul.h"
#include "backend/cpu/units/select.h"
#include "nibble/device.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/formats/format.h"

namespace {

namespace nb = nibble;

TEST(UnitChoice, ListsUnitsBestFirstAndEndsWithScalar) {
  const std::vector<std::string> units = nb::cpu_units();
  ASSERT_FALSE(units.empty());
  EXPECT_EQ(units.back(), "scalar");
  const char* forced = std::getenv("NIBBLE_ISA");
  EXPECT_EQ(nb::cpu_unit(), forced != nullptr && *forced != '\0' ? forced : units.front());
  for (const std::string& name : units) {
    const nb::detail::cpu::Unit* unit = nb::detail::cpu::find_unit(name);
    ASSERT_NE(unit, nullptr);
    for (const auto& kernel : nb::detail::cpu::kernels_of(*unit)) {
      EXPECT_TRUE(kernel.name.ends_with("_" + name)) << kernel.name;
    }
  }
  EXPECT_EQ(nb::detail::cpu::find_unit("mmx"), nullptr);
}

/// The first operation of a fresh process under that NIBBLE_ISA; exits with 0 where it throws as promised.
[[noreturn]] void first_operation_throws(const char* unit) {
  setenv("NIBBLE_ISA", unit, 1);
  try {
    const nb::Tensor sum = nb::add(nb::tensor<float>({1, 2}, {2}), nb::tensor<float>({3, 4}, {2}));
  } catch (const nb::Error& e) {
    const std::string text = e.what();
    const bool good = e.code() == nb::ErrorCode::invalid_argument && text.find(unit) != std::string::npos &&
                      text.find("scalar") != std::string::npos;
    std::exit(good ? 0 : 2);
  }
  std::exit(1);
}
[[noreturn]] void uses(const char* unit) {
  setenv("NIBBLE_ISA", unit, 1);
  const nb::Tensor product = nb::matmul(nb::tensor<float>({1, 2}, {1, 2}), nb::tensor<float>({3, 4}, {2, 1}));
  const bool named = nb::detail::cpu_matmul_kernels().front().name.ends_with(unit);
  std::exit(nb::cpu_unit() == unit && named && product.item<float>() == 11 ? 0 : 1);
}

/// The kernel for many rows tells the unit in use, and what the processor has beside what the unit needs.
TEST(UnitChoice, SuitsTheProcessor) {
  nb::detail::MatmulQuery query;
  query.format = nb::detail::find_format("affine4-g64");
  query.rows = 512;
  query.precision = nb::Precision::fast;
  const nb::detail::MatmulKernel* best = nullptr;
  for (const auto& kernel : nb::detail::cpu_matmul_kernels()) {
    if (kernel.supports(query) && (best == nullptr || kernel.priority > best->priority)) best = &kernel;
  }
  ASSERT_NE(best, nullptr);
  if (const char* expected = std::getenv("NIBBLE_TEST_KERNEL")) {
    EXPECT_EQ(best->name, expected);
  }
}

TEST(UnitChoice, ForcedByTheEnvironment) {
  if (std::getenv("NIBBLE_EMULATED") != nullptr) GTEST_SKIP() << "skipped: an emulated process cannot start another";
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a process of its own: the choice is made once
  for (const std::string& unit : nb::cpu_units()) {
    EXPECT_EXIT(uses(unit.c_str()), testing::ExitedWithCode(0), "") << unit;
  }
  EXPECT_EXIT(first_operation_throws("sse9"), testing::ExitedWithCode(0), "");
}

}  // namespace
