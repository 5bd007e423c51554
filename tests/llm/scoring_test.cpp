// Perplexity and KL divergence against fp64 sums over the reference's logits.
#include "adapters/llm/scoring.h"

#include "tests/llm/support.h"

namespace nibble::tests {
namespace {

/// ln softmax of row t of (T, V) logits, in fp64.
std::vector<double> log_probabilities(const Tensor& logits, std::int64_t t) {
  const std::vector<float> row = select(logits, 0, t).to_vector<float>();
  double total = 0;
  for (const float x : row) total += std::exp(static_cast<double>(x));
  std::vector<double> result;
  for (const float x : row) result.push_back(x - std::log(total));
  return result;
}

struct Fixture {
  fs::path folder;
  TensorMap reference = load_safetensors(folder / "reference.safetensors").tensors;
  std::vector<std::int32_t> tokens = id_row(reference.at("tokens"), 0);
  Tensor logits = select(reference.at("logits"), 0, 0);
};

double expected_nll(const Fixture& f) {
  double total = 0;
  for (std::size_t t = 0; t + 1 < f.tokens.size(); ++t) {
    total -= log_probabilities(f.logits, static_cast<std::int64_t>(t))[static_cast<std::size_t>(f.tokens[t + 1])];
  }
  return total;
}

TEST(Scoring, NegativeLogLikelihoodEqualsTheReferences) {
  const with precise(exact());
  const Fixture f{models() / "qwen2"};
  const llm::DecoderModel model = load_model(f.folder);
  for (const std::int64_t chunk : {5, 128}) {
    const llm::Score score = llm::score(model, f.tokens, {.chunk = chunk});
    EXPECT_EQ(score.tokens, 23);  // the first is not scored
    EXPECT_NEAR(score.negative_log_likelihood, expected_nll(f), 1e-3);
    EXPECT_DOUBLE_EQ(score.perplexity(), std::exp(score.negative_log_likelihood / 23));
  }
}

TEST(Scoring, WindowsAreScoredAlone) {
  const with precise(exact());
  const Fixture f{models() / "llama"};
  const llm::DecoderModel model = load_model(f.folder);
  const std::span<const std::int32_t> all(f.tokens);
  llm::Score parts = llm::score(model, all.subspan(0, 10));
  parts += llm::score(model, all.subspan(10, 10));
  parts += llm::score(model, all.subspan(20));
  const llm::Score whole = llm::score(model, all, {.context = 10});
  EXPECT_EQ(whole.tokens, 9 + 9 + 3);
  EXPECT_EQ(parts.tokens, whole.tokens);
  EXPECT_NEAR(whole.negative_log_likelihood, parts.negative_log_likelihood, 1e-9);
}

TEST(Scoring, DivergenceFromAnotherModel) {
  const with precise(exact());
  const Fixture f{models() / "llama"};
  const TensorMap adapted = load_safetensors(models() / "lora" / "reference.safetensors").tensors;
  llm::LoadOptions options;
  options.adapters.push_back({load_lora(models() / "lora" / "plain"), 1});
  const llm::DecoderModel base = load_model(f.folder), other = load_model(f.folder, options);
  const std::vector<std::int32_t> tokens = id_row(adapted.at("tokens"), 0);

  // The references hold the last eight positions: what they add is the whole less the text without them.
  const llm::Score whole = llm::score(other, tokens, {.reference = &base});
  const llm::Score head = llm::score(other, std::span(tokens).first(17), {.reference = &base});
  double divergence = 0;
  std::int64_t same = 0;
  for (std::int64_t t = 0; t < 7; ++t) {  // after the last position nothing is scored
    const auto p = log_probabilities(select(adapted.at("base"), 0, 0), t);
    const auto q = log_probabilities(select(adapted.at("plain"), 0, 0), t);
    for (std::size_t i = 0; i < p.size(); ++i) divergence += std::exp(p[i]) * (p[i] - q[i]);
    same += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
  }
  EXPECT_NEAR(whole.divergence - head.divergence, divergence, 1e-3);
  EXPECT_GT(divergence, 0.01);
  EXPECT_EQ(whole.same_choice - head.same_choice, same);

  const llm::Score itself = llm::score(base, tokens, {.reference = &base});
  EXPECT_NEAR(itself.divergence, 0, 1e-9);
  EXPECT_EQ(itself.agreement(), 1);
}

TEST(Scoring, AnotherVocabularyCannotBeCompared) {
  const llm::DecoderModel a = load_model(models() / "llama"), b = load_model(models() / "qwen2");
  const std::vector<std::int32_t> tokens{1, 2, 3};
  EXPECT_THROW(llm::score(a, tokens, {.reference = &b}), Error);
  const std::vector<std::int32_t> outside{1, 384};
  EXPECT_THROW(llm::score(a, outside), Error);
}

TEST(Scoring, ATextOfOneTokenScoresNothing) {
  const llm::DecoderModel model = load_model(models() / "llama");
  EXPECT_EQ(llm::score(model, std::vector<std::int32_t>{5}).tokens, 0);
  EXPECT_EQ(llm::score(model, std::vector<std::int32_t>{}).tokens, 0);
}

}  // namespace
}  // namespace nibble::tests
