// Low-rank adapters joined to a model, against peft and mlx-lm in float64 (tests/models/lora).
#include <tuple>

#include "tests/llm/support.h"

namespace nibble::tests {
namespace {

fs::path adapters() { return models() / "lora"; }

Tensor logits_with(const std::vector<std::pair<std::string, double>>& names, const Tensor& tokens) {
  llm::LoadOptions options;
  for (const auto& [name, multiplier] : names)
    options.adapters.push_back({load_lora(adapters() / name), multiplier, name});
  return slice(load_model(models() / "llama", options).logits_of(ids(tokens)), 1, -8, tokens.size(1));
}

using Case = std::tuple<const char*, std::vector<std::pair<std::string, double>>>;
class Lora : public ::testing::TestWithParam<Case> {};

TEST_P(Lora, LogitsEqualTheReference) {
  const with precise(exact());
  const TensorMap expected = load_safetensors(adapters() / "reference.safetensors").tensors;
  const auto& [name, parts] = GetParam();
  EXPECT_LT(max_difference(logits_with(parts, expected.at("tokens")), expected.at(name)), 2e-4);
}

INSTANTIATE_TEST_SUITE_P(Adapters, Lora,
                         ::testing::Values(Case{"base", {}}, Case{"plain", {{"plain", 1}}},
                                           Case{"rslora", {{"rslora", 1}}}, Case{"patterns", {{"patterns", 1}}},
                                           Case{"mlx", {{"mlx", 1}}},
                                           Case{"plain+rslora", {{"plain", 1}, {"rslora", 1}}},
                                           Case{"plain+patterns", {{"plain", 1}, {"patterns", 1}}},
                                           Case{"base", {{"plain", 0}}},  // a multiplier of nothing
                                           Case{"plain", {{"plain", 0.25}, {"plain", 0.75}}},  // and two that make one
                                           Case{"rslora", {{"rslora", 3}, {"rslora", -2}}}));

TEST(LoraJoin, AModuleThatTheModelLacksIsNamed) {
  LoraAdapter adapter = load_lora(adapters() / "plain");
  const LoraWeights update = adapter.begin()->second;
  adapter["model.layers.7.self_attn.q_proj"] = update;
  llm::LoadOptions options;
  options.adapters.push_back({adapter, 1});
  try {
    load_model(models() / "llama", options);
    FAIL() << "an update of a layer that is not there was left out without a word";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("model.layers.7.self_attn.q_proj"), std::string::npos) << e.what();
  }
}

TEST(LoraJoin, AnUpdateOfAnotherSizeIsRefused) {
  LoraAdapter adapter;
  adapter["model.layers.0.self_attn.q_proj"] = {zeros({32, 4}), zeros({4, 64}), 1};
  llm::LoadOptions options;
  options.adapters.push_back({adapter, 1});
  try {
    load_model(models() / "llama", options);
    FAIL() << "an update of another size was joined";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::shape_mismatch);
    EXPECT_NE(std::string(e.what()).find("model.layers.0.self_attn.q_proj"), std::string::npos) << e.what();
  }
}

/// What y = x · wᵀ + scale · (x · a) · b is, in fp64, from the values that each tensor means.
std::vector<double> expected_update(const Tensor& x, const Tensor& w, const Tensor& a, const Tensor& b, double scale) {
  const auto xs = x.to_vector<float>(), ws = w.to_vector<float>(), as = a.to_vector<float>(), bs = b.to_vector<float>();
  const std::size_t in = static_cast<std::size_t>(w.size(1)), out = static_cast<std::size_t>(w.size(0)),
                    rank = static_cast<std::size_t>(a.size(1));
  std::vector<double> y(out, 0);
  for (std::size_t r = 0; r < rank; ++r) {
    double middle = 0;
    for (std::size_t k = 0; k < in; ++k) middle += static_cast<double>(xs[k]) * as[k * rank + r];
    for (std::size_t n = 0; n < out; ++n) y[n] += scale * middle * bs[r * out + n];
  }
  for (std::size_t n = 0; n < out; ++n) {
    for (std::size_t k = 0; k < in; ++k) y[n] += static_cast<double>(xs[k]) * ws[n * in + k];
  }
  return y;
}

// The EMLX plan's own: rank 8 at scale 20 on a packed base.
TEST(EmlxPlan, LoraOfRank8AtScale20OnAPackedBase) {
  const with precise(exact());
  const Tensor packed = quantize(random_normal({256, 128}, 3, 0, 0.1), {.bits = 4, .group_size = 64});
  const Tensor x = random_normal({1, 128}, 4);
  const Tensor a = random_normal({128, 8}, 5, 0, 0.05), b = random_normal({8, 256}, 6, 0, 0.05);
  llm::Linear linear(packed);
  linear.add_update({a, b, 20});
  const auto wanted = expected_update(x, dequantize(packed), a, b, 20);
  const auto got = linear(x).to_vector<float>();
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-4) << i;
}

// And the product itself: (1, 128) x (128, 256) against dequantize and dot.
TEST(EmlxPlan, DotEqualsDequantizeAndDot) {
  const with precise(exact());
  const Tensor packed = quantize(random_normal({256, 128}, 7), {.bits = 4, .group_size = 64});
  EXPECT_TRUE(is_quantized(packed));
  const Tensor x = random_normal({1, 128}, 8);
  const Tensor dense = dequantize(packed);
  EXPECT_FALSE(is_quantized(dense));
  const Tensor got = dot(x, transpose(packed)), wanted = dot(x, transpose(dense));
  EXPECT_EQ(got.shape(), (Shape{1, 256}));
  EXPECT_LT(max_difference(got, wanted), 1e-4);
}

}  // namespace
}  // namespace nibble::tests
