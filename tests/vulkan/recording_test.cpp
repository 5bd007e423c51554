// Work that a device is told once: results are those of work that is called again.
#include "nibble/recording.h"

#include <gtest/gtest.h>

#include "nibble/error.h"
#include "nibble/memory.h"
#include "nibble/ops.h"
#include "nibble/options.h"
#include "nibble/quantization.h"
#include "nibble/transfer.h"
#include "nibble/vulkan.h"
#include "tests/support/wanted_device.h"

namespace nibble::tests {
namespace {

/// A step as models make it: rows of a table at indices, a product with packed weights, and a cache that is written
/// behind what it holds.
struct Model {
  explicit Model(Device device)
      : table(random_normal({10, 64}, 1).to(device)),
        w(quantize(random_normal({32, 64}, 2), {.bits = 4, .group_size = 32}).to(device)),
        cache(zeros({1, 16, 32}).to(device)) {}

  Tensor step(const Tensor& token, const Tensor& start) {
    const Tensor row = reshape(matmul(take(table, token), transpose(w)), {1, 1, 32});
    cache = update_slice(std::move(cache), row, start, 1);
    return sum(cache, {1});
  }

  Tensor table, w, cache;
};

std::vector<Tensor> inputs_of(int token, int start) {
  return {tensor<std::int32_t>({token}, {1}), tensor<std::int32_t>({start}, {1})};
}

class Recordings : public OnWantedDevice {
 protected:
  Recording record(Model& model) {
    return {device_, inputs_of(3, 0),
            [&](std::span<const Tensor> in) -> std::vector<Tensor> { return {model.step(in[0], in[1])}; }};
  }
};

TEST_F(Recordings, AreRunAgainWithOtherInputs) {
  Model told(device_), once(device_);
  told.step(inputs_of(1, 15)[0].to(device_), inputs_of(1, 15)[1].to(device_));  // what is done first is done
  once.step(inputs_of(1, 15)[0].to(device_), inputs_of(1, 15)[1].to(device_));
  Recording step = record(once);
  ASSERT_TRUE(step.is_kept());
  told.step(inputs_of(3, 0)[0].to(device_), inputs_of(3, 0)[1].to(device_));
  for (int i = 1; i < 8; ++i) {
    const auto inputs = inputs_of(i, i);
    const Tensor want = told.step(inputs[0].to(device_), inputs[1].to(device_));
    const std::uint64_t before = submissions(device_), operations_before = operations(device_);
    step.run(inputs);
    // Memory that work has given back is not taken by others.
    const Tensor other = full({4096}, 7.0f).to(device_) + 1;
    EXPECT_EQ(step.outputs()[0].to_vector<float>(), want.to_vector<float>()) << i;
    EXPECT_EQ(other.to_vector<float>(), std::vector<float>(4096, 8.0f));
    EXPECT_LE(submissions(device_) - before, 5u);
    EXPECT_GE(operations(device_) - operations_before, 4u);
  }
  EXPECT_EQ(once.cache.to_vector<float>(), told.cache.to_vector<float>());
}

TEST_F(Recordings, OutliveWhatTheyTouched) {
  Recording doubled{device_, std::vector<Tensor>{ones({256})},
                    [&](std::span<const Tensor> in) -> std::vector<Tensor> { return {(in[0] + 1) * 2}; }};
  ASSERT_TRUE(doubled.is_kept());
  for (int i = 0; i < 3; ++i) {
    const std::vector<Tensor> others(8, full({256}, 5.0f).to(device_) * 3);
    const std::vector<Tensor> inputs{full({256}, static_cast<float>(i))};
    doubled.run(inputs);
    EXPECT_EQ(doubled.outputs()[0].to_vector<float>(), std::vector<float>(256, 2.0f * static_cast<float>(i + 1)));
    for (const Tensor& t : others) EXPECT_EQ(t.to_vector<float>()[255], 15);
  }
}

TEST_F(Recordings, OfWhatTheHostDecidesCallItAgain) {
  int calls = 0;
  const Recording::Work reads = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    ++calls;
    return {in[0] * in[0].to_vector<float>()[0]};
  };
  const Recording::Work writes = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    ++calls;
    return {in[0] * full({1}, static_cast<float>(calls)).to(in[0].device())};
  };
  Recording square{device_, std::vector<Tensor>{full({1}, 3.0f)}, reads};
  EXPECT_FALSE(square.is_kept());
  for (int i = 0; i < 4; ++i) {
    square.run(std::vector<Tensor>{full({1}, static_cast<float>(i))});
    EXPECT_EQ(square.outputs()[0].to_vector<float>()[0], static_cast<float>(i * i));
  }
  EXPECT_EQ(calls, 5);
  calls = 0;
  const Options options = [&] {
    Options o;
    o.device = Device::cpu();
    return o;
  }();
  const with host(options);
  Recording counted{device_, std::vector<Tensor>{full({1}, 1.0f)}, writes};
  EXPECT_FALSE(counted.is_kept());
  counted.run(std::vector<Tensor>{full({1}, 10.0f)});
  EXPECT_EQ(counted.outputs()[0].to_vector<float>()[0], 20);
}

TEST_F(Recordings, SayWhatIsWrong) {
  Model model(device_);
  Recording step = record(model);
  EXPECT_THROW(step.run(std::vector<Tensor>{inputs_of(1, 1)[0]}), Error);
  EXPECT_THROW(step.run(std::vector<Tensor>{ones({1}), ones({1})}), Error);
  EXPECT_THROW((Recording{device_, std::vector<Tensor>{model.w},
                          [](std::span<const Tensor>) -> std::vector<Tensor> { return {}; }}),
               Error);
  // An index that is out of range is reported by every run.
  for (int i = 0; i < 2; ++i) {
    step.run(inputs_of(12, 1));
    EXPECT_THROW(step.outputs()[0].to_vector<float>(), Error);
  }
  step.run(inputs_of(1, 1));
  EXPECT_EQ(step.outputs()[0].to_vector<float>().size(), 32u);
  EXPECT_THROW((Recording{device_, {}, [](std::span<const Tensor>) -> std::vector<Tensor> { throw 1; }}), int);
  EXPECT_EQ((ones({2}).to(device_) + 1).to_vector<float>(), (std::vector<float>{2, 2}));
}

TEST(RecordingsOfTheCpu, CallWorkAgain) {
  Model model(Device::cpu());
  Recording step{Device::cpu(), inputs_of(3, 0),
                 [&](std::span<const Tensor> in) -> std::vector<Tensor> { return {model.step(in[0], in[1])}; }};
  EXPECT_FALSE(step.is_kept());
  Model other(Device::cpu());
  other.step(inputs_of(3, 0)[0], inputs_of(3, 0)[1]);
  step.run(inputs_of(4, 1));
  EXPECT_EQ(step.outputs()[0].to_vector<float>(),
            other.step(inputs_of(4, 1)[0], inputs_of(4, 1)[1]).to_vector<float>());
}

}  // namespace
}  // namespace nibble::tests
