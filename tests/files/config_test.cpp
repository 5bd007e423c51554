#include "adapters/files/config.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "adapters/files/config_write.h"
#include "adapters/files/mlx_packing.h"
#include "file_test_support.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::ModelConfig;
using nb::files::parse_config;
using nlohmann::json;
using ::testing::HasSubstr;
using Type = nb::RopeScaling::Type;

json small_llama() {
  return {{"model_type", "llama"},    {"hidden_size", 64},
          {"intermediate_size", 128}, {"num_hidden_layers", 2},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"vocab_size", 100},        {"max_position_embeddings", 128}};
}
ModelConfig parse(const json& config) { return parse_config(config.dump(), "config.json"); }

void expect_same(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.rope_scaling.type, b.rope_scaling.type);
  EXPECT_EQ(a.rope_scaling.factor, b.rope_scaling.factor);
  EXPECT_EQ(a.rope_scaling.low_freq_factor, b.rope_scaling.low_freq_factor);
  EXPECT_EQ(a.rope_scaling.high_freq_factor, b.rope_scaling.high_freq_factor);
  EXPECT_EQ(a.rope_scaling.beta_fast, b.rope_scaling.beta_fast);
  EXPECT_EQ(a.rope_scaling.beta_slow, b.rope_scaling.beta_slow);
  EXPECT_EQ(a.rope_scaling.attention_factor, b.rope_scaling.attention_factor);
  EXPECT_EQ(a.rope_scaling.truncate, b.rope_scaling.truncate);
  EXPECT_EQ(a.rope_scaling.original_max_position_embeddings, b.rope_scaling.original_max_position_embeddings);
  EXPECT_EQ(a.dtype, b.dtype);
  EXPECT_EQ(a.head_dim, b.head_dim);
  EXPECT_EQ(a.attention_bias, b.attention_bias);
  EXPECT_EQ(a.attention_output_bias, b.attention_output_bias);
  EXPECT_EQ(a.mlp_bias, b.mlp_bias);
  EXPECT_EQ(a.qk_norm, b.qk_norm);
  EXPECT_EQ(a.tie_word_embeddings, b.tie_word_embeddings);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.eos_token_ids, b.eos_token_ids);
  EXPECT_EQ(a.rms_norm_eps, b.rms_norm_eps);
  EXPECT_EQ(a.experts, b.experts);
}

TEST(Config, BothSpellingsOfEveryTestModelMeanTheSame) {
  const std::map<std::string, Type> expected{{"config", Type::none},
                                             {"config_linear", Type::linear},
                                             {"config_llama3", Type::llama3},
                                             {"config_yarn", Type::yarn},
                                             {"config_yarn_explicit", Type::yarn}};
  int read = 0;
  for (const char* model : {"llama", "llama_bias", "mistral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}) {
    for (const auto& [name, type] : expected) {
      const fs::path folder = models() / model;
      if (!fs::exists(folder / (name + ".json"))) continue;
      const std::string old_name = "config_4x" + name.substr(6) + ".json";
      const auto five = parse_config(read_file(folder / (name + ".json")), name);
      const auto four = parse_config(read_file(folder / old_name), old_name);
      EXPECT_EQ(five.rope_scaling.type, type) << name;
      expect_same(five, four);
      // What nibble writes is version 4's spelling of the same.
      const std::string rewritten = nb::files::rewrite_config(read_file(folder / (name + ".json")), name, {}, {});
      EXPECT_FALSE(json::parse(rewritten).contains("rope_parameters"));
      EXPECT_TRUE(json::parse(rewritten).contains("rope_theta"));
      expect_same(parse_config(rewritten, name), four);
      expect_same(parse_config(nb::files::write_config(four), name), four);
      ++read;
    }
  }
  EXPECT_EQ(read, 11);
}

TEST(Config, ThetaIsReadFromEitherPlace) {
  json config = small_llama();
  EXPECT_EQ(parse(config).rope_theta, 10000);
  config["rope_theta"] = 5e5;
  EXPECT_EQ(parse(config).rope_theta, 5e5);
  config["rope_parameters"] = {{"rope_theta", 7e5}, {"rope_type", "default"}};
  EXPECT_EQ(parse(config).rope_theta, 7e5);
}

TEST(Config, TheOldTypeKey) {
  json config = small_llama();
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  EXPECT_EQ(parse(config).rope_scaling.type, Type::linear);
  EXPECT_EQ(parse(config).rope_scaling.factor, 4);
}

struct Refused {
  json change;
  const char* says;
};

TEST(Config, WhatChangesTheArithmeticIsRefusedByName) {
  const std::vector<Refused> cases{
      {{{"model_type", "gpt_neox"}}, "model_type: gpt_neox"},
      {{{"model_type", nullptr}}, "model_type"},
      {{{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}}}}, "rope_type: dynamic"},
      {{{"rope_scaling", {{"rope_type", "longrope"}, {"factor", 2}}}}, "rope_type: longrope"},
      {{{"rope_scaling", {{"rope_type", "linear"}}}}, "factor: is missing"},
      {{{"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}}}, "is missing"},
      {{{"rope_scaling", {{"type", "default"}, {"mrope_section", {1, 2}}}}}, "mrope_section"},
      {{{"rope_parameters", {{"rope_theta", 1e4}, {"partial_rotary_factor", 0.5}}}}, "partial_rotary_factor"},
      {{{"rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}}}}, "layer type"},
      {{{"partial_rotary_factor", 0.25}}, "partial_rotary_factor"},
      {{{"hidden_act", "xielu"}}, "hidden_act: xielu"},
      {{{"attention_multiplier", 0.5}}, "attention_multiplier"},
      {{{"residual_multiplier", 0.22}}, "residual_multiplier"},
      {{{"embedding_multiplier", 12}}, "embedding_multiplier"},
      {{{"logit_scale", 0.06}}, "logit_scale"},
      {{{"logits_scaling", 8}}, "logits_scaling"},
      {{{"attn_logit_softcapping", 50}}, "attn_logit_softcapping"},
      {{{"final_logit_softcapping", 30}}, "final_logit_softcapping"},
      {{{"num_local_experts", 8}}, "num_local_experts"},
      {{{"num_experts", 8}}, "num_experts"},
      {{{"n_shared_experts", 1}}, "n_shared_experts"},
      {{{"routed_scaling_factor", 2.5}}, "routed_scaling_factor"},
      {{{"scoring_func", "sigmoid"}}, "scoring_func: sigmoid"},
      {{{"use_qk_norm", true}}, "use_qk_norm"},
      {{{"rope_interleave", true}}, "rope_interleave: true"},
      {{{"rope_ratio", 2}}, "rope_ratio"},
      {{{"rotary_dim", 32}}, "rotary_dim"},
      {{{"attention_scale", 0.5}}, "attention_scale"},
      {{{"residual_scale", 0}}, "residual_scale"},
      {{{"norm_type", "layer_norm"}}, "norm_type"},
      {{{"hidden_activation", "gelu"}}, "hidden_activation"},
      {{{"sliding_window_pattern", 6}}, "sliding_window_pattern"},
      {{{"final_logit_cap", 30}}, "final_logit_cap"},
      {{{"qkv_bias", true}}, "qkv_bias"},
      {{{"v_head_dim", 64}}, "v_head_dim"},
      {{{"model_type", "mistral"}, {"mlp_bias", true}}, "mlp_bias"},
      {{{"quantization_config", {{"quant_method", "aqlm"}, {"bits", 4}}}}, "quant_method aqlm is not supported"},
      {{{"quantization_config", {{"quant_method", "quip"}}}}, "gptq, awq"},
      {{{"torch_dtype", "int4"}}, "int4"},
      {{{"layer_types", {"full_attention", "linear_attention"}}}, "linear_attention"},
      {{{"hidden_size", nullptr}}, "hidden_size: is missing"},
      {{{"hidden_size", -64}}, "hidden_size: -64"},
      {{{"hidden_size", 1e30}}, "hidden_size"},
      {{{"hidden_size", 18446744073709551615ull}}, "hidden_size"},
      {{{"hidden_size", 66}}, "does not divide"},
      {{{"num_key_value_heads", 3}}, "does not divide"},
      {{{"head_dim", 7}}, "odd"},
      {{{"vocab_size", "many"}}, "vocab_size"},
      {{{"rope_theta", -1}}, "rope_theta"},
      {{{"eos_token_id", "</s>"}}, "eos_token_id"},
  };
  for (const auto& [change, says] : cases) {
    json config = small_llama();
    config.update(change);
    EXPECT_THAT(error_text([&] { parse(config); }), HasSubstr(says)) << change;
  }
  // The same keys at the value where they do nothing.
  json neutral = small_llama();
  neutral.update(json{{"partial_rotary_factor", 1.0},
                      {"attention_multiplier", nullptr},
                      {"logit_scale", 1},
                      {"num_experts", 0},
                      {"use_qk_norm", false},
                      {"final_logit_softcapping", nullptr}});
  EXPECT_EQ(parse(neutral).hidden_size, 64);
}

TEST(Config, WhatIsNoConfigurationIsRefused) {
  EXPECT_THAT(error_text([] { parse_config("[]", "c.json"); }), HasSubstr("c.json: is not a JSON object"));
  EXPECT_THAT(error_text([] { parse_config("{", "c.json"); }), HasSubstr("c.json: is not JSON (byte 2)"));
  EXPECT_THAT(error_text([] { parse_config("{\"a\":1e999}", "c.json"); }), HasSubstr("c.json: holds a number"));
  EXPECT_THAT(error_text([] { parse_config("{\"a\":" + std::string(4000, '[') + "}", "c.json"); }),
              HasSubstr("nested"));
  EXPECT_THAT(error_text([] { parse_config(std::string(3'000'000, ' '), "c.json"); }), HasSubstr("more than"));
}

json small_mixture(const char* model_type) {
  json config = small_llama();
  config.update(
      {{"model_type", model_type}, {"num_experts", 6}, {"num_experts_per_tok", 2}, {"moe_intermediate_size", 32}});
  if (config["model_type"] == "qwen2_moe") config["shared_expert_intermediate_size"] = 64;
  return config;
}

TEST(Config, Experts) {
  const auto experts = [](json change, const char* model_type = "qwen3_moe") {
    json config = small_mixture(model_type);
    config.update(change);
    return parse(config).experts;
  };
  const auto plain = experts(json::object()).value();
  EXPECT_EQ(plain.count, 6);
  EXPECT_EQ(plain.used, 2);
  EXPECT_EQ(plain.intermediate_size, 32);
  EXPECT_EQ(plain.shared_intermediate_size, 0);
  EXPECT_FALSE(plain.normalize) << "transformers' default";
  EXPECT_TRUE(plain.in_layer(0) && plain.in_layer(1));
  EXPECT_TRUE(experts({{"norm_topk_prob", true}})->normalize);
  EXPECT_EQ(experts({{"num_experts", nullptr}, {"num_local_experts", 12}})->count, 12) << "transformers 5";
  EXPECT_EQ(experts(json::object(), "qwen2_moe")->shared_intermediate_size, 64);
  EXPECT_FALSE(experts({{"num_experts", 0}}).has_value());

  const auto sparse = experts({{"decoder_sparse_step", 2}, {"mlp_only_layers", {3}}}).value();
  std::vector<int> layers;
  for (int i = 0; i < 8; ++i) {
    if (sparse.in_layer(i)) layers.push_back(i);
  }
  EXPECT_EQ(layers, (std::vector<int>{1, 5, 7}));

  const auto refusal = [&](const json& change, const char* model_type = "qwen3_moe") {
    return error_text([&] { experts(change, model_type); });
  };
  EXPECT_THAT(refusal({{"num_experts_per_tok", 7}}), HasSubstr("num_experts_per_tok: 7 of 6"));
  EXPECT_THAT(refusal({{"num_experts_per_tok", nullptr}}), HasSubstr("num_experts_per_tok: is missing"));
  EXPECT_THAT(refusal({{"num_local_experts", 5}}), HasSubstr("differ"));
  EXPECT_THAT(refusal({{"num_experts", nullptr}}), HasSubstr("num_experts: is missing"));
  EXPECT_THAT(refusal({{"decoder_sparse_step", 0}}), HasSubstr("decoder_sparse_step: 0"));
  EXPECT_THAT(refusal({{"routed_scaling_factor", 2}}), HasSubstr("routed_scaling_factor"));
  EXPECT_THAT(refusal({{"shared_expert_intermediate_size", nullptr}}, "qwen2_moe"),
              HasSubstr("shared_expert_intermediate_size: is missing"));
  EXPECT_THAT(refusal({{"use_sliding_window", true}, {"sliding_window", 32}}, "qwen2_moe"),
              HasSubstr("use_sliding_window"));
}

TEST(Config, WindowsCountOnlyWhereTheyAreInForce) {
  const auto window = [](json change) {
    json config = small_llama();
    config.update(change);
    return parse(config).sliding_window;
  };
  const std::optional<std::int64_t> none, some = 32;
  EXPECT_EQ(window({{"model_type", "mistral"}, {"sliding_window", 32}}), some);
  EXPECT_EQ(window({{"model_type", "mistral"}, {"sliding_window", nullptr}}), none);
  EXPECT_EQ(window({{"model_type", "mistral"}, {"sliding_window", 128}}), none) << "as long as the context";
  EXPECT_EQ(window({{"model_type", "mistral"}, {"max_position_embeddings", 8192}}), 4096) << "transformers' default";
  EXPECT_EQ(window({{"model_type", "qwen2"}, {"sliding_window", 32}}), none);
  EXPECT_EQ(
      window({{"model_type", "qwen2"}, {"sliding_window", 32}, {"use_sliding_window", true}, {"max_window_layers", 1}}),
      some);
  EXPECT_EQ(
      window({{"model_type", "qwen2"}, {"sliding_window", 32}, {"use_sliding_window", true}, {"max_window_layers", 2}}),
      none);
}

TEST(Config, WindowsBelongToLayers) {
  const auto sliding = [](json change) {
    json config = small_llama();
    config.update({{"sliding_window", 32}, {"use_sliding_window", true}, {"max_window_layers", 1}});
    config.update(change);
    const ModelConfig parsed = parse(config);
    return std::vector<bool>{parsed.slides(0), parsed.slides(1)};
  };
  using Layers = std::vector<bool>;
  const json mixed = {"sliding_attention", "full_attention"}, all = {"sliding_attention", "sliding_attention"},
             none = {"full_attention", "full_attention"};
  for (const char* type : {"qwen2", "qwen3"}) {
    EXPECT_EQ(sliding({{"model_type", type}}), (Layers{false, true})) << "max_window_layers";
    EXPECT_EQ(sliding({{"model_type", type}, {"layer_types", mixed}}), (Layers{true, false}));
    EXPECT_EQ(sliding({{"model_type", type}, {"layer_types", all}}), (Layers{true, true}));
    EXPECT_EQ(sliding({{"model_type", type}, {"layer_types", none}}), (Layers{false, false}));
  }
  EXPECT_EQ(sliding({{"model_type", "mistral"}}), (Layers{true, true}));
  EXPECT_EQ(sliding({{"model_type", "mistral"}, {"layer_types", all}}), (Layers{true, true}));
  EXPECT_EQ(sliding({{"model_type", "llama"}, {"layer_types", none}}), (Layers{false, false}));
  // What transformers does not run, or would run as something else.
  const auto refusal = [&](const json& change) { return error_text([&] { sliding(change); }); };
  EXPECT_THAT(refusal({{"model_type", "qwen2"}, {"layer_types", {"sliding_attention"}}}), HasSubstr("1 of them for 2"));
  EXPECT_THAT(refusal({{"model_type", "qwen2"}, {"use_sliding_window", false}, {"layer_types", mixed}}),
              HasSubstr("layer_types: contradict"));
  EXPECT_THAT(refusal({{"model_type", "mistral"}, {"layer_types", mixed}}), HasSubstr("layer_types: contradict"));
  EXPECT_THAT(refusal({{"model_type", "llama"}, {"layer_types", mixed}}), HasSubstr("layer_types: contradict"));
}

TEST(Config, EosMayBeAListAndHeadDimIsExplicit) {
  json config = small_llama();
  config["eos_token_id"] = {2, 7};
  config["head_dim"] = 32;
  EXPECT_EQ(parse(config).eos_token_ids, (std::vector<std::int64_t>{2, 7}));
  EXPECT_EQ(parse(config).head_dim, 32);
  config["model_type"] = "qwen3";
  config.erase("head_dim");
  EXPECT_EQ(parse(config).head_dim, 128) << "transformers' default for Qwen3";
}

TEST(Config, GenerationDefaults) {
  const auto g = nb::files::parse_generation_config(
      R"({"do_sample":true,"temperature":0.7,"top_k":20,"eos_token_id":[1,2]})", "g.json");
  EXPECT_TRUE(g.do_sample);
  EXPECT_EQ(g.temperature, 0.7);
  EXPECT_EQ(g.top_k, 20);
  EXPECT_EQ(g.eos_token_ids, (std::vector<std::int64_t>{1, 2}));
  const auto back = nb::files::parse_generation_config(nb::files::write_generation_config(g), "g.json");
  EXPECT_EQ(back.temperature, g.temperature);
  EXPECT_EQ(back.eos_token_ids, g.eos_token_ids);
}

TEST(Config, KeysThatChangeNothingAreNoHindrance) {
  json config = small_llama();
  config.update({{"_attn_implementation", "eager"},
                 {"attn_implementation", "flash_attention_2"},
                 {"attention_dropout", 0.1},
                 {"router_aux_loss_coef", 0.001},
                 {"output_attentions", false},
                 {"rope_interleaved", false},
                 {"logits_scaling", 1.0},
                 {"attn_logit_softcapping", nullptr},
                 {"pruned_heads", json::object()},
                 {"num_experts", 0},
                 {"norm_topk_prob", true},
                 {"max_window_layers", 28},
                 {"pretraining_tp", 1},
                 {"initializer_range", 0.02},
                 {"unsloth_fixed", true},
                 {"is_llama_config", true}});
  expect_same(parse(config), parse(small_llama()));
}

// Real configurations: which are read, and by what word the others are refused.
TEST(Config, RealFilesAreReadOrRefusedByName) {
  const fs::path configs = shared_data() / "configs";
  if (!fs::exists(configs)) GTEST_SKIP() << "skipped: no ../shared/data";
  const std::map<std::string, std::string> refused{
      {"1b-building-irfan", "gpt_neox"},
      {"awq-qwen3-4b-core", "vocab_size"},
      {"compressed-tensors-int4", "model_type"},
      {"compressed-tensors-llama1.1b", "model_type"},
      {"gpt2-alpaca", "gpt2"},
      {"gptq-qwen-vl-chat-int4", "qwen"},
      {"keshav", "phi"},
      {"ktransformers-deepseek", "deepseek_v2"},
      {"mlx-llama3-from-scratch", "hidden_size"},
      {"mlx-ring-mini-linear-mixed-bits", "bailing_moe_linear"},
      {"pythia-410m", "gpt_neox"},
      {"rotorquant-3.6", "qwen3_5_moe"},
      {"tiny-awq_mixtral_g64", "mixtral"},
  };
  int read = 0, refusals = 0;
  for (const auto& entry : fs::directory_iterator(configs)) {
    const std::string name = entry.path().stem().string();
    if (name.ends_with(".index") || name.ends_with("quantize_config")) continue;
    const auto expected = refused.find(name);
    if (expected != refused.end()) {
      EXPECT_THAT(error_text([&] { parse_config(read_file(entry.path()), entry.path()); }), HasSubstr(expected->second))
          << name;
      ++refusals;
    } else {
      EXPECT_NO_THROW(parse_config(read_file(entry.path()), entry.path())) << name;
      ++read;
    }
  }
  EXPECT_EQ(refusals, static_cast<int>(refused.size()));
  EXPECT_GE(read, 6);
  const auto finsenti = parse_config(read_file(configs / "finsenti.json"), "finsenti.json");
  EXPECT_EQ(finsenti.sliding_window, 4096);
  const auto ring = nb::files::parse_mlx_packing(read_file(configs / "mlx-ring-mini-linear-mixed-bits.json"), "ring");
  EXPECT_EQ(ring.of("model.layers.1.mlp.gate.gate_proj").params.bits, 8);
  EXPECT_EQ(ring.of("model.layers.5.mlp.gate.gate_proj").params.bits, 4);
  EXPECT_EQ(nb::files::parse_mlx_packing(read_file(configs / "tiny-mlx_b3_g64_bf16.json"), "b3").everywhere.params.bits,
            3);
  EXPECT_FALSE(nb::files::parse_mlx_packing(read_file(configs / "gptq-llama2-13b.json"), "gptq").present);
}

}  // namespace
}  // namespace nibble_test
