// Constants that move to where they are used, up to a budget.
#include "nibble/transfer.h"

#include <gmock/gmock.h>

#include <limits>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "tests/support/wanted_device.h"

namespace nibble::tests {
namespace {

class Transfers : public OnWantedDevice {
 protected:
  void SetUp() override {
    OnWantedDevice::SetUp();
    if (IsSkipped()) return;
    x_ = random_normal({2, 64}, 1).to(device_);
    reset_stats();
  }
  void TearDown() override { set_transfer_budget(std::numeric_limits<std::uint64_t>::max()); }
  static Tensor packed(std::uint64_t seed) { return transpose(quantize(random_normal({96, 64}, seed))); }

  Tensor x_;
};

TEST_F(Transfers, APackedWeightMovesOnce) {
  const Tensor w = packed(2);
  const Tensor y = matmul(x_, w);
  EXPECT_EQ(y.device(), device_);
  EXPECT_EQ(stats().bytes_moved, w.nbytes());
  matmul(x_, w);
  matmul(x_, slice(w, 1, 8, 40));  // a view of the same
  EXPECT_EQ(stats().bytes_moved, w.nbytes());
  EXPECT_EQ(transferred_bytes(device_), w.nbytes());
  EXPECT_EQ(operations(device_), 3u);
  const std::vector<float> want = matmul(x_.to(Device::cpu()), w).to_vector<float>();
  EXPECT_THAT(y.to_vector<float>(), testing::Pointwise(testing::FloatNear(1e-3f), want));
}

TEST_F(Transfers, SoDoesMemoryThatNobodyWrites) {
  const std::vector<float> numbers(64, 2);
  const Tensor scale = from_borrowed(nullptr, numbers.data(), {64}, DType::f32);
  EXPECT_EQ((x_ * scale).device(), device_);
  EXPECT_EQ(rms_norm(x_, scale).device(), device_);
  EXPECT_EQ(stats().bytes_moved, scale.nbytes());
}

TEST_F(Transfers, RowsOfATableFollowTheirIndices) {
  const Tensor table = quantize(random_normal({10, 64}, 3)), rows = tensor<std::int32_t>({1, 9}, {2}).to(device_);
  EXPECT_EQ(take(table, rows).device(), device_);
}

TEST_F(Transfers, WhatWasUsedLongestAgoLeavesFirst) {
  const Tensor a = packed(2), b = packed(3), c = packed(4);
  set_transfer_budget(2 * a.nbytes());
  for (const Tensor& w : {a, b, a, c}) matmul(x_, w);  // b leaves
  EXPECT_EQ(transferred_bytes(device_), 2 * a.nbytes());
  reset_stats();
  matmul(x_, a);
  EXPECT_EQ(stats().bytes_moved, 0u);
  matmul(x_, b);
  EXPECT_EQ(stats().bytes_moved, b.nbytes());
  set_transfer_budget(0);
  EXPECT_EQ(transferred_bytes(device_), 0u);
  EXPECT_EQ(matmul(x_, a).device(), device_);  // for one operation
  EXPECT_EQ(transferred_bytes(device_), 0u);
}

TEST_F(Transfers, CopiesGoWithWhatTheyAreOf) {
  {
    const Tensor w = packed(2);
    matmul(x_, w);
    EXPECT_GT(transferred_bytes(device_), 0u);
  }
  EXPECT_EQ(transferred_bytes(device_), 0u);
}

TEST_F(Transfers, APackedTensorThatIsWrittenMovesAgain) {
  Tensor w = quantize(random_normal({96, 64}, 2));
  matmul(x_, transpose(w));
  w = update_slice(std::move(w), full({1, 64}, 3), 0, 0);
  const Tensor sums = slice(matmul(x_, transpose(w)), 1, 0, 1), want = 3 * sum(x_, {1}, true);
  EXPECT_THAT(sums.to_vector<float>(), testing::Pointwise(testing::FloatNear(0.05f), want.to_vector<float>()));
}

TEST_F(Transfers, MayBeForbidden) {
  Options strict = options();
  strict.transfer = Transfer::error;
  const with in_force(strict);
  try {
    matmul(x_, packed(2));
    FAIL() << "did not throw";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::transfer_forbidden);
    EXPECT_THAT(e.what(), testing::StartsWith("[matmul] affine4-g64 (96, 64)ᵀ on cpu: Transfer::error forbids"));
  }
}

TEST_F(Transfers, WhatHasNoKernelIsRefusedByTheReductionsName) {
  const Tensor row =
      broadcast_to(full({1}, 1).to(device_), {std::int64_t{1} << 31});  // longer than a workgroup passes over
  Options strict = options();
  strict.fallback = Fallback::error;
  const with in_force(strict);
  const auto refusal = [&](auto op) -> std::string {
    try {
      op(row);
    } catch (const Error& e) {
      return e.what();
    }
    return "nothing thrown";
  };
  EXPECT_THAT(refusal([](const Tensor& x) { return sum(x); }),
              testing::StartsWith("[sum] f32 (2147483648,) on vulkan"));
  EXPECT_THAT(refusal([](const Tensor& x) { return max(x); }),
              testing::StartsWith("[max] f32 (2147483648,) on vulkan"));
  EXPECT_THAT(refusal([](const Tensor& x) { return logsumexp(x); }), testing::StartsWith("[logsumexp] f32"));
}

}  // namespace
}  // namespace nibble::tests
