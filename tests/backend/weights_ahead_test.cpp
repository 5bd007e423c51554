// What threads that wait ask memory for: the weight that followed twice.
#include "backend/cpu/weights_ahead.h"

#include <gtest/gtest.h>

#include "backend/cpu/units/select.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
namespace {

const unsigned char* first_byte(const Tensor& w) {
  return reinterpret_cast<const unsigned char*>(detail::bytes_of(w.packing()->components[0]));
}

TEST(WeightsAhead, AreThoseThatFollowedTwice) {
  if (detail::cpu::current_unit().few_rows == nullptr) GTEST_SKIP() << "the unit has no products of few rows";
  const Tensor x = random_normal({1, 64}, 1);
  const auto weight = [](std::uint64_t seed) { return quantize(random_normal({32, 64}, seed), {.bits = 4}); };
  const Tensor a = weight(2), b = weight(3), c = weight(4);
  const Tensor held[] = {transpose(a), transpose(b), transpose(c)};
  const auto read = [&](const Tensor& w) {
    for (const Tensor& t : held) {
      if (first_byte(t) == first_byte(w)) matmul(x, t);
    }
    return detail::cpu::expected_weight();
  };
  for (int token = 0; token < 3; ++token) {
    for (const Tensor& w : {a, b, c}) read(w);
  }
  EXPECT_EQ(read(a), first_byte(b));
  EXPECT_EQ(detail::cpu::expected_tensor(), &held[1].impl());
  EXPECT_EQ(read(b), first_byte(c));
  EXPECT_EQ(read(c), first_byte(a));
  read(a);
  read(c);  // where b was expected
  EXPECT_EQ(read(a), nullptr);
  EXPECT_EQ(detail::cpu::expected_tensor(), nullptr);
  read(c);
  EXPECT_EQ(read(a), first_byte(c));
}

}  // namespace
}  // namespace nibble
