// Decoder models against transformers' logits, computed in float64 (tests/models, tests/goldens).
#include "tests/llm/support.h"

namespace nibble::tests {
namespace {

constexpr double kExact = 1e-4;  // float32 transformers itself is off by some 1e-5

class Decoder : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return models() / GetParam(); }
  TensorMap reference() const { return load_safetensors(folder() / "reference.safetensors").tensors; }
};

TEST_P(Decoder, LogitsEqualTheReference) {
  const with precise(exact());
  const TensorMap expected = reference();
  const llm::DecoderModel model = load_model(folder());
  EXPECT_LT(max_difference(model.logits_of(ids(expected.at("tokens"))), expected.at("logits")), kExact);
}

TEST_P(Decoder, TheSpellingOfTransformers4MeansTheSame) {
  const with precise(exact());
  const TensorMap expected = reference();
  const TemporaryFolder copy;
  copy_with_config(folder(), "config_4x.json", copy.path());
  EXPECT_LT(max_difference(load_model(copy.path()).logits_of(ids(expected.at("tokens"))), expected.at("logits")),
            kExact);
}

TEST_P(Decoder, GreedyIdsEqualTheReference) {
  const with precise(exact());
  const TensorMap expected = reference();
  const llm::DecoderModel model = load_model(folder());
  const std::vector<float> margins = expected.at("greedy_margin").to_vector<float>();
  for (int row = 0; row < 2; ++row) {
    llm::Session session(model, 64);
    const auto made = session.generate(id_row(expected.at("tokens"), row), greedy_for(16));
    const std::vector<std::int32_t> wanted = id_row(expected.at("greedy"), row);
    ASSERT_EQ(made.tokens.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size() && margins[static_cast<std::size_t>(row) * 16 + i] > 1e-3; ++i) {
      EXPECT_EQ(made.tokens[i], wanted[i]) << "row " << row << ", token " << i;
    }
  }
}

TEST_P(Decoder, ChunksOfAPromptGiveTheLogitsOfTheWhole) {
  const with precise(exact());
  const TensorMap expected = reference();
  const llm::DecoderModel model = load_model(folder());
  const Tensor last = select(slice(expected.at("logits"), 0, 0, 1), 1, 23);
  for (const std::int64_t chunk : {1, 5, 8, 24, 100}) {
    llm::KvCache cache = model.make_cache(1, 24);
    const std::vector<std::int32_t> prompts[] = {id_row(expected.at("tokens"), 0)};
    EXPECT_LT(max_difference(model.prefill(prompts, cache, chunk), last), kExact) << "chunk " << chunk;
    EXPECT_EQ(cache.lengths()[0], 24);
  }
}

TEST_P(Decoder, RaggedRowsEqualTheirOwnRuns) {
  const with precise(exact());
  const TensorMap expected = reference();
  const llm::DecoderModel model = load_model(folder());
  const Tensor tokens = expected.at("tokens"), logits = expected.at("logits");
  const std::vector<std::int32_t> prompts[] = {id_row(tokens, 0, 7), id_row(tokens, 1), id_row(tokens, 1, 1),
                                               id_row(tokens, 0, 16)};
  const std::int64_t source[] = {0, 1, 1, 0};
  for (const std::int64_t chunk : {4, 7, 64}) {
    llm::KvCache cache = model.make_cache(4, 25);
    Tensor got = model.prefill(prompts, cache, chunk);
    for (std::int64_t row = 0; row < 4; ++row) {
      const auto length = static_cast<std::int64_t>(prompts[row].size());
      const Tensor wanted = select(select(logits, 0, source[row]), 0, length - 1);
      EXPECT_LT(max_difference(select(got, 0, row), wanted), kExact) << "chunk " << chunk << ", row " << row;
    }
    // One more token each: those that the references go on with, where there is one.
    std::vector<std::int32_t> next;
    for (std::int64_t row = 0; row < 4; ++row) {
      const auto whole = id_row(tokens, source[row]);
      next.push_back(whole[std::min<std::size_t>(prompts[row].size(), 23)]);
    }
    got = model.logits(model.hidden(from_data(std::span<const std::int32_t>(next), {4, 1}), cache));
    for (const std::int64_t row : {0, 2, 3}) {
      const auto length = static_cast<std::int64_t>(prompts[row].size());
      const Tensor wanted = select(select(logits, 0, source[row]), 0, length);
      EXPECT_LT(max_difference(select(select(got, 0, row), 0, 0), wanted), kExact) << "step, row " << row;
    }
  }
}

TEST_P(Decoder, BatchGreedyEqualsSingleGreedy) {
  const with precise(exact());
  const TensorMap expected = reference();
  const llm::DecoderModel model = load_model(folder());
  const std::vector<std::int32_t> prompts[] = {id_row(expected.at("tokens"), 0, 9), id_row(expected.at("tokens"), 1)};
  const auto batch = llm::generate_batch(model, prompts, 8, {}, 8);
  for (std::size_t row = 0; row < 2; ++row) {
    llm::Session session(model, 64);
    EXPECT_EQ(batch[row], session.generate(prompts[row], greedy_for(8)).tokens);
  }
}

TEST_P(Decoder, NarrowKeysAndValuesStayNear) {
  const with precise(exact());
  const TensorMap expected = reference();
  const llm::DecoderModel model = load_model(folder());
  llm::KvCache cache = model.make_cache(2, 24, "bf16");
  EXPECT_EQ(cache.storage(), "bf16");
  const Tensor got = model.logits(model.hidden(ids(expected.at("tokens")), cache));
  const double difference = max_difference(got, expected.at("logits"));
  EXPECT_GT(difference, kExact) << "the cache was not bf16 at all";
  EXPECT_LT(difference, 0.3);
}

TEST_P(Decoder, NarrowActivationsGiveTheirOwnDtype) {
  const with precise(exact());
  const TensorMap expected = reference();
  for (const DType dtype : {DType::bf16, DType::f16}) {
    llm::LoadOptions options;
    options.dtype = dtype;
    const llm::DecoderModel model = load_model(folder(), options);
    EXPECT_EQ(model.make_cache(1, 1).storage(), name(dtype));
    const Tensor got = model.logits_of(ids(expected.at("tokens")));
    EXPECT_EQ(got.dtype(), dtype);
    EXPECT_LT(max_difference(got, expected.at("logits")), dtype == DType::bf16 ? 1.5 : 0.2);
  }
}

TEST_P(Decoder, AFullCacheIsRefusedBeforeAnythingIsWritten) {
  const llm::DecoderModel model = load_model(folder());
  llm::KvCache cache = model.make_cache(1, 4);
  model.hidden(tensor<std::int32_t>({1, 2, 3}, {1, 3}), cache);
  try {
    model.hidden(tensor<std::int32_t>({4, 5}, {1, 2}), cache);
    FAIL() << "five tokens went into a cache of four";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::out_of_range);
  }
  EXPECT_EQ(cache.lengths()[0], 3);
}

TEST_P(Decoder, TheCacheIsWrittenInPlace) {
  const llm::DecoderModel model = load_model(folder());
  llm::KvCache cache = model.make_cache(1, 16);
  model.hidden(tensor<std::int32_t>({1, 2, 3}, {1, 3}), cache);
  const std::uint64_t copied = stats().bytes_copied;
  for (std::int32_t token = 4; token < 8; ++token) model.hidden(tensor<std::int32_t>({token}, {1, 1}), cache);
  EXPECT_EQ(stats().bytes_copied, copied);
}

// The EMLX plan's own: a batch [[1, 2, 3, 4]] gives (1, 4, vocabulary).
TEST_P(Decoder, ABatchOfFourTokensHasFourRowsOfLogits) {
  const llm::DecoderModel model = load_model(folder());
  const Tensor logits = model.logits_of(tensor<std::int32_t>({1, 2, 3, 4}, {1, 4}));
  EXPECT_EQ(logits.shape(), (Shape{1, 4, model.config().vocab_size}));
}

INSTANTIATE_TEST_SUITE_P(TinyModels, Decoder,
                         ::testing::Values("llama", "llama_bias", "mistral", "qwen2", "qwen3", "qwen2_moe",
                                           "qwen3_moe"));

class Rope : public ::testing::TestWithParam<const char*> {};

TEST_P(Rope, ScaledLogitsEqualTheReference) {
  const with precise(exact());
  const fs::path folder = models() / "llama";
  const TensorMap expected = load_safetensors(folder / "reference_rope.safetensors").tensors;
  for (const std::string spelling : {"config_", "config_4x_"}) {
    const TemporaryFolder copy;
    copy_with_config(folder, spelling + GetParam() + ".json", copy.path());
    const llm::DecoderModel model = load_model(copy.path());
    const Tensor got = slice(model.logits_of(ids(expected.at("tokens"))), 1, 88, 96);
    EXPECT_LT(max_difference(got, expected.at(GetParam())), 2e-4) << spelling;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Rope, ::testing::Values("linear", "llama3", "yarn", "yarn_explicit"));

struct GgufGolden {
  const char *name, *file, *logits;
};
class Gguf : public ::testing::TestWithParam<GgufGolden> {};

TEST_P(Gguf, LogitsEqualTheReference) {
  const with precise(exact());
  const TensorMap expected = load_safetensors(goldens() / GetParam().logits).tensors;
  const std::string name = GetParam().name;
  const llm::DecoderModel model = load_model(goldens() / GetParam().file);
  const Tensor tokens = ids(expected.at(name + ".tokens"));
  const Tensor got = slice(model.logits_of(tokens), 1, -8, tokens.size(1));
  EXPECT_LT(max_difference(got, expected.at(name + ".logits")), 2e-4);
}

TEST_P(Gguf, PackedWeightsAreNeverUnpackedWhole) {
  const llm::DecoderModel model = load_model(goldens() / GetParam().file);
  Options strict = options();
  strict.fallback = Fallback::error;
  const with no_fallback(strict);
  EXPECT_NO_THROW(model.logits_of(tensor<std::int32_t>({1, 2, 3, 4}, {1, 4})));
}

constexpr GgufGolden kGgufGoldens[] = {
    {"tiny_llama", "tiny_llama.gguf", "gguf_models.safetensors"},
    {"tiny_llama3_rope", "tiny_llama3_rope.gguf", "gguf_models.safetensors"},
    {"tiny_qwen2", "tiny_qwen2.gguf", "gguf_models.safetensors"},
    {"tiny_qwen2moe", "tiny_qwen2moe.gguf", "gguf_experts.safetensors"},
    {"tiny_qwen3moe", "tiny_qwen3moe-00001-of-00003.gguf", "gguf_experts.safetensors"},
};
INSTANTIATE_TEST_SUITE_P(TinyFiles, Gguf, ::testing::ValuesIn(kGgufGoldens),
                         [](const auto& golden) { return std::string(golden.param.name); });

// Written by mlx-lm, its layers 2 to 8 bits wide and one dense: the same model code, without a word about it.
TEST(MlxFolder, LogitsEqualTheReference) {
  const with precise(exact());
  for (const char* name : {"qwen2_mlx", "qwen3_moe_mlx"}) {
    const TensorMap expected = load_safetensors(models() / name / "reference.safetensors").tensors;
    const Tensor got = slice(load_model(models() / name).logits_of(ids(expected.at("tokens"))), 1, -8, 24);
    EXPECT_LT(max_difference(got, expected.at("logits")), 2e-4) << name;
  }
}

TEST(Window, KeysFurtherBackAreNotSeen) {
  const with precise(exact());
  const TemporaryFolder copy;
  copy_with_config(models() / "mistral", "config.json", copy.path());
  std::string config = read_file(models() / "mistral" / "config.json");
  const std::string unset = "\"sliding_window\": null";
  ASSERT_NE(config.find(unset), std::string::npos);
  config.replace(config.find(unset), unset.size(), "\"sliding_window\": 1");
  write_file(copy / "config.json", config);

  // A window of one: no token sees another, so every row is that of a text of one token, wherever it stands.
  const llm::DecoderModel model = load_model(copy.path());
  const Tensor whole = model.logits_of(tensor<std::int32_t>({5, 9, 5, 77}, {1, 4}));
  for (int i = 0; i < 4; ++i) {
    const std::int32_t token = i == 1 ? 9 : i == 3 ? 77 : 5;
    const Tensor alone = model.logits_of(tensor<std::int32_t>({token}, {1, 1}));
    EXPECT_LT(max_difference(slice(whole, 1, i, i + 1), alone), kExact) << "token " << i;
  }
}

TEST(Window, EveryLayerHasItsOwn) {
  const with precise(exact());
  for (const char* name : {"qwen2", "mistral"}) {
    const TensorMap expected = load_safetensors(models() / name / "reference_window.safetensors").tensors;
    for (const auto& [variant, logits] : expected) {
      if (variant == "tokens") continue;
      const TemporaryFolder copy;
      copy_with_config(models() / name, "config_window_" + variant + ".json", copy.path());
      const Tensor got = load_model(copy.path()).logits_of(ids(expected.at("tokens")));
      EXPECT_LT(max_difference(slice(got, 1, 16, 24), logits), kExact) << name << ' ' << variant;
    }
  }
}

/// What a model says that is loaded under a configuration with some keys changed.
std::string refusal(const char* name, const Json& changes) {
  const TemporaryFolder copy;
  copy_with_config(models() / name, "config.json", copy.path());
  Json config = read_json(copy / "config.json");
  config.update(changes);
  write_file(copy / "config.json", config.dump());
  try {
    load_model(copy.path());
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_file);
    return e.what();
  }
  return "nothing";
}

TEST(Loader, NamesTheTensorThatHasAnotherShape) {
  const std::string says = refusal("llama", {{"intermediate_size", 96}});
  EXPECT_NE(says.find("mlp.gate_proj.weight"), std::string::npos) << says;
  EXPECT_NE(says.find("(96, 64)"), std::string::npos) << says;
}

TEST(Loader, NamesAWeightThatTheConfigurationDoesNotKnow) {
  const auto expect = [](const std::string& says, const char* weight) {
    EXPECT_NE(says.find(weight), std::string::npos) << says;
    EXPECT_NE(says.find("no such weight"), std::string::npos) << says;
  };
  expect(refusal("llama_bias", {{"attention_bias", false}}), "self_attn.k_proj.bias");
  expect(refusal("llama_bias", {{"mlp_bias", false}}), "mlp.down_proj.bias");
  expect(refusal("qwen3", {{"model_type", "llama"}}), "self_attn.k_norm.weight");
}

}  // namespace
}  // namespace nibble::tests
