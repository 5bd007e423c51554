// The probes run in every unit of this machine and give rates; what they amount to is no test's business.
#include "nibble/limits.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nibble/device.h"
#include "nibble/error.h"
#include "nibble/ops.h"

namespace {

namespace nb = nibble;

void expect_rates(const std::vector<nb::LoopRate>& rates) {
  for (const nb::LoopRate& rate : rates) {
    EXPECT_FALSE(rate.loop.empty());
    EXPECT_TRUE(std::isfinite(rate.per_second) && rate.per_second > 0) << rate.loop << ' ' << rate.per_second;
    EXPECT_GE(nb::fastest(rates), rate.per_second);
  }
}

TEST(Limits, EveryUnitReadsAndMultiplies) {
  const nb::Tensor buffer = nb::full({3 << 20}, 1, nb::DType::u8);
  for (const std::string& unit : nb::cpu_units()) {
    const auto reading = nb::measure_reading(buffer, unit);
    EXPECT_EQ(reading.size(), 4u) << "one stream and four rows, with and without prefetch";
    expect_rates(reading);
    EXPECT_FALSE(nb::measure_arithmetic(nb::Arithmetic::fp32, {}, unit).empty()) << unit;
    for (const auto kind : {nb::Arithmetic::fp32, nb::Arithmetic::bf16, nb::Arithmetic::int16, nb::Arithmetic::int8}) {
      const auto rates = nb::measure_arithmetic(kind, {}, unit);
      expect_rates(rates);
      if (unit == "scalar") {
        EXPECT_EQ(rates.empty(), kind != nb::Arithmetic::fp32);
      }
    }
  }
  EXPECT_EQ(nb::measure_reading(buffer).size(), 4u) << "the unit in use";
  EXPECT_EQ(nb::fastest({}), 0);
}

TEST(Limits, WhatCannotBeMeasuredIsRefused) {
  const nb::Tensor buffer = nb::zeros({1 << 20}, nb::DType::u8);
  EXPECT_THROW(nb::measure_reading(buffer, "mmx"), nb::Error);
  EXPECT_THROW(nb::measure_arithmetic(nb::Arithmetic::int8, {}, "mmx"), nb::Error);
  EXPECT_THROW(nb::measure_reading(nb::zeros({1000})), nb::Error) << "too small";
  EXPECT_THROW(nb::measure_reading(nb::transpose(nb::zeros({1024, 1024}))), nb::Error);
  EXPECT_THROW(nb::measure_reading(nb::quantize(nb::ones({2048, 2048}))), nb::Error);
  EXPECT_THROW(nb::measure_arithmetic(nb::Arithmetic::fp32, nb::Device::parse("vulkan:9")), nb::Error);
}

}  // namespace
