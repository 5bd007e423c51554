#include "nibble/lora.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "adapters/files/module_pattern.h"
#include "file_test_support.h"
#include "nibble/io.h"
#include "nibble/ops.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nlohmann::json;
using ::testing::HasSubstr;

fs::path adapters() { return models() / "lora"; }

TEST(Lora, PeftFactorsAndScale) {
  const auto adapter = nb::load_lora(adapters() / "plain");
  EXPECT_EQ(adapter.size(), 6u) << "q, v and down of two layers";
  const auto& q = adapter.at("model.layers.0.self_attn.q_proj");
  EXPECT_EQ(q.a.shape(), (nb::Shape{64, 4}));
  EXPECT_EQ(q.b.shape(), (nb::Shape{4, 64}));
  EXPECT_EQ(q.scale, 2.0);
  const auto stored = nb::load_safetensors(adapters() / "plain/adapter_model.safetensors").tensors;
  const auto& a = stored.at("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");  // (r, in)
  EXPECT_EQ(nb::contiguous(q.a).to_vector<float>()[4], nb::cast(a, nb::DType::f32).to_vector<float>()[1]);
}

TEST(Lora, RsloraDividesByTheRoot) {
  const auto config = json::parse(read_file(adapters() / "rslora/adapter_config.json"));
  const double expected = config["lora_alpha"].get<double>() / std::sqrt(config["r"].get<double>());
  for (const auto& [module, weights] : nb::load_lora(adapters() / "rslora"))
    EXPECT_DOUBLE_EQ(weights.scale, expected) << module;
}

TEST(Lora, PatternsGiveModulesTheirOwnRankAndAlpha) {
  // The ranks of the stored factors are PEFT's own answer to the patterns.
  const auto adapter = nb::load_lora(adapters() / "patterns");
  std::set<std::int64_t> ranks;
  std::set<double> scales;
  for (const auto& [module, weights] : adapter) {
    ranks.insert(weights.a.size(1));
    scales.insert(weights.scale);
  }
  EXPECT_GT(ranks.size(), 1u);
  EXPECT_GT(scales.size(), 1u);
}

TEST(Lora, APatternHoldsForAPathOrATailBehindADot) {
  const auto matches = [](std::string_view pattern, std::string_view module) {
    return nb::files::ModulePattern(pattern).matches(module);
  };
  EXPECT_TRUE(matches("q_proj", "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(matches("q_proj", "q_proj"));
  EXPECT_FALSE(matches("proj", "model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(matches("q_pro", "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(matches("q_proj|v_proj", "model.layers.0.self_attn.v_proj"));
  EXPECT_TRUE(matches(R"(layers\.[02]\..*\.q_proj)", "model.layers.2.self_attn.q_proj"));
  EXPECT_FALSE(matches(R"(layers\.[02]\..*\.q_proj)", "model.layers.1.self_attn.q_proj"));
}

TEST(Lora, MlxScaleIsTakenAsItIs) {
  const auto adapter = nb::load_lora(adapters() / "mlx");
  EXPECT_EQ(adapter.size(), 2u);
  const auto& q = adapter.at("model.layers.1.self_attn.q_proj");
  EXPECT_EQ(q.scale, 5.0);
  EXPECT_EQ(q.a.shape(), (nb::Shape{64, 4}));
}

TEST(Lora, DoraIsRefusedByName) {
  nb::ErrorCode code{};
  EXPECT_THAT(error_text([] { nb::load_lora(adapters() / "dora"); }, &code), HasSubstr("use_dora"));
  EXPECT_EQ(code, nb::ErrorCode::unsupported);
}

/// A copy of an adapter with one change in its configuration.
std::string refusal(const char* adapter, const std::function<void(json*)>& change) {
  const TemporaryFolder scratch;
  fs::copy(adapters() / adapter, scratch.path(), fs::copy_options::recursive);
  json config = json::parse(read_file(scratch / "adapter_config.json"));
  change(&config);
  write_file(scratch / "adapter_config.json", config.dump());
  return error_text([&] { nb::load_lora(scratch.path()); });
}

TEST(Lora, WhatChangesTheArithmeticIsRefusedByName) {
  const std::vector<std::pair<std::string, json>> peft{{"peft_type", "LOHA"},
                                                       {"bias", "all"},
                                                       {"lora_bias", true},
                                                       {"modules_to_save", json::array({"lm_head"})},
                                                       {"use_qalora", true},
                                                       {"alora_invocation_tokens", json::array({1})},
                                                       {"layer_replication", json::array({json::array({0, 1})})},
                                                       {"init_lora_weights", "pissa"},
                                                       {"target_parameters", json::array({"x"})},
                                                       {"r", "eight"},
                                                       {"lora_alpha", nullptr}};
  for (const auto& [key, value] : peft) {
    EXPECT_THAT(refusal("plain", [&k = key, &v = value](json* c) { (*c)[k] = v; }), HasSubstr(key)) << value;
  }
  EXPECT_THAT(refusal("plain", [](json* c) { (*c)["r"] = 8; }), HasSubstr("rank 4, but adapter_config.json says 8"));
  const std::string hard = "(.*)*(.*)*(.*)*(.*)*[xz]";  // each star tries every length of the one before
  for (const std::string& pattern : {std::string("(("), std::string(100000, '('), hard}) {
    EXPECT_THAT(refusal("plain",
                        [&](json* c) {
                          (*c)["rank_pattern"] = json::object({{pattern, 4}});
                        }),
                HasSubstr("cannot be used as a regular expression"));
  }
  EXPECT_THAT(refusal("mlx", [](json* c) { (*c)["fine_tune_type"] = "dora"; }), HasSubstr("fine_tune_type"));
  EXPECT_THAT(refusal("mlx", [](json* c) { (*c)["fine_tune_type"] = "full"; }), HasSubstr("fine_tune_type"));
  EXPECT_THAT(refusal("mlx", [](json* c) { (*c)["lora_parameters"].erase("scale"); }), HasSubstr("scale"));
}

TEST(Lora, BrokenAdaptersAreRefused) {
  const TemporaryFolder scratch;
  EXPECT_THAT(error_text([&] { nb::load_lora(scratch.path()); }), HasSubstr("neither"));
  EXPECT_THAT(error_text([&] { nb::load_lora(scratch / "none"); }), HasSubstr("not an adapter folder"));
  EXPECT_THAT(error_text([&] { nb::load_lora(scratch / std::string(300, 'a')); }), HasSubstr("File name too long"));
  fs::copy(adapters() / "plain", scratch.path(), fs::copy_options::recursive);
  auto tensors = nb::load_safetensors(scratch / "adapter_model.safetensors").tensors;
  const auto with = [&](const std::function<void(nb::TensorMap*)>& change) {
    auto changed = tensors;
    change(&changed);
    nb::save_safetensors(scratch / "adapter_model.safetensors", changed);
    return error_text([&] { nb::load_lora(scratch.path()); });
  };
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.";
  EXPECT_THAT(with([&](auto* t) { t->erase(q + "lora_B.weight"); }),
              HasSubstr("model.layers.0.self_attn.q_proj: has one of its two"));
  EXPECT_THAT(with([&](auto* t) { (*t)[q + "lora_B.weight"] = nb::zeros({64, 5}); }), HasSubstr("do not fit"));
  EXPECT_THAT(with([&](auto* t) {
                (*t)[std::string(200000, 'a') + ".lora_A.weight"] = nb::zeros({4, 64});
              }),
              HasSubstr("one of its two factors only"));
  EXPECT_THAT(with([&](auto* t) { (*t)[q + "lora_magnitude_vector"] = nb::zeros({64}); }), HasSubstr("DoRA"));
  EXPECT_THAT(with([&](auto* t) { (*t)[q + "lora_embedding_A"] = nb::zeros({4, 64}); }), HasSubstr("lora_embedding_A"));
}

}  // namespace
}  // namespace nibble_test
