#include "adapters/files/checkpoint.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "adapters/files/pack_plan.h"
#include "file_test_support.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::Checkpoint;
using ::testing::HasSubstr;

double largest_difference(const nb::Tensor& a, const nb::Tensor& b) {
  const auto x = nb::dequantize(a, nb::DType::f32).to_vector<float>(),
             y = nb::dequantize(b, nb::DType::f32).to_vector<float>();
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, static_cast<double>(std::abs(x[i] - y[i])));
  return most;
}

double largest(const nb::Tensor& t) {
  double most = 0;
  for (const float v : nb::dequantize(t, nb::DType::f32).to_vector<float>()) {
    most = std::max(most, static_cast<double>(std::abs(v)));
  }
  return most;
}

TEST(Checkpoint, ShardsAreOneModel) {
  const auto model = Checkpoint::open(models() / "qwen3");
  EXPECT_EQ(model.weight_files().size(), 2u);
  EXPECT_EQ(model.architecture(), "qwen3");
  EXPECT_TRUE(model.config().qk_norm);
  EXPECT_EQ(model.config().head_dim, 32);
  const nb::Tensor q = model.get("model.layers.1.self_attn.q_proj.weight");
  EXPECT_EQ(q.shape(), (nb::Shape{128, 64}));
  EXPECT_EQ(q.dtype(), nb::DType::bf16);
  EXPECT_THAT(error_text([&] { model.get("model.layers.9.self_attn.q_proj.weight"); }),
              HasSubstr("model.layers.9.self_attn.q_proj.weight: is missing"));
}

TEST(Checkpoint, MlxTripletsArePackedTensorsWithTheirOverrides) {
  const auto model = Checkpoint::open(models() / "qwen2_mlx");
  const auto format = [&](const char* name) { return model.find(name)->format; };
  EXPECT_EQ(format("model.layers.0.self_attn.q_proj.weight"), "affine4-g64");
  EXPECT_EQ(format("model.embed_tokens.weight"), "affine8-g32");
  EXPECT_EQ(format("lm_head.weight"), "affine6-g64");
  EXPECT_EQ(format("model.layers.0.self_attn.k_proj.weight"), "affine2-g32");
  EXPECT_EQ(format("model.layers.1.self_attn.v_proj.weight"), "affine3-g32");
  EXPECT_EQ(format("model.layers.1.mlp.down_proj.weight"), "affine5-g128");
  EXPECT_EQ(format("model.layers.0.mlp.down_proj.weight"), "bf16");
  EXPECT_FALSE(model.contains("lm_head.scales"));
  const auto dense = Checkpoint::open(models() / "qwen2");
  const char* name = "lm_head.weight";
  const nb::Tensor packed = model.get(name);
  EXPECT_TRUE(packed.is_quantized());
  EXPECT_EQ(packed.shape(), dense.get(name).shape());
  // Half a step of 6 bits, and bf16 scales.
  EXPECT_LT(largest_difference(packed, dense.get(name)), 0.03 * largest(dense.get(name)));
  std::uint64_t bytes = 0;
  for (const auto& info : model.tensors()) bytes += info.bytes;
  EXPECT_LT(bytes, fs::file_size(models() / "qwen2_mlx/model.safetensors"));
}

TEST(Checkpoint, GgufRowsComeBackInHuggingFacesOrder) {
  const auto gguf = Checkpoint::open(goldens() / "tiny_llama.gguf");
  const auto dense = Checkpoint::open(models() / "llama");
  // F32, F16 and BF16 hold the bf16 weights exactly: any row out of place shows.
  for (const char* name : {"model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight",
                           "model.layers.1.self_attn.v_proj.weight", "model.norm.weight"}) {
    EXPECT_LT(largest_difference(gguf.get(name), dense.get(name)), 1e-6) << name;
  }
  // The packed ones come close to theirs, which rows out of order would not.
  for (const char* name : {"model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight",
                           "model.embed_tokens.weight", "model.layers.0.mlp.down_proj.weight"}) {
    const nb::Tensor w = gguf.get(name);
    EXPECT_TRUE(w.is_quantized()) << name;
    EXPECT_EQ(w.shape(), dense.get(name).shape());
    EXPECT_LT(largest_difference(w, dense.get(name)), 0.15 * largest(dense.get(name))) << name;
  }
  EXPECT_EQ(gguf.find("model.layers.0.self_attn.q_proj.weight")->format, "q4_0");
  EXPECT_FALSE(gguf.contains("lm_head.weight"));
}

TEST(Checkpoint, GgufMetadataIsAConfiguration) {
  const auto gguf = Checkpoint::open(goldens() / "tiny_llama.gguf").config();
  const auto dense = Checkpoint::open(models() / "llama").config();
  EXPECT_EQ(gguf.architecture, dense.architecture);
  EXPECT_EQ(gguf.hidden_size, dense.hidden_size);
  EXPECT_EQ(gguf.intermediate_size, dense.intermediate_size);
  EXPECT_EQ(gguf.num_hidden_layers, dense.num_hidden_layers);
  EXPECT_EQ(gguf.num_attention_heads, dense.num_attention_heads);
  EXPECT_EQ(gguf.num_key_value_heads, dense.num_key_value_heads);
  EXPECT_EQ(gguf.head_dim, dense.head_dim);
  EXPECT_EQ(gguf.vocab_size, dense.vocab_size);
  EXPECT_EQ(gguf.max_position_embeddings, dense.max_position_embeddings);
  EXPECT_EQ(gguf.rms_norm_eps, dense.rms_norm_eps);
  EXPECT_EQ(gguf.rope_theta, dense.rope_theta);
  EXPECT_TRUE(gguf.tie_word_embeddings);
  const auto qwen = Checkpoint::open(goldens() / "tiny_qwen2.gguf");
  EXPECT_TRUE(qwen.config().attention_bias);
  EXPECT_FALSE(qwen.config().tie_word_embeddings);
  EXPECT_EQ(qwen.config().rope_theta, 1e6);
  EXPECT_EQ(qwen.eos_token_ids(), std::vector<std::int64_t>{319});
  EXPECT_LT(largest_difference(qwen.get("model.layers.0.self_attn.q_proj.bias"),
                               Checkpoint::open(models() / "qwen2").get("model.layers.0.self_attn.q_proj.bias")),
            1e-6);
}

TEST(Checkpoint, Llama3ScalingIsFoundAgainInRopeFreqs) {
  const auto found = Checkpoint::open(goldens() / "tiny_llama3_rope.gguf").config();
  ASSERT_EQ(found.rope_scaling.type, nb::RopeScaling::Type::llama3);
  EXPECT_TRUE(found.rope_factors.empty());
  const auto config = nb::files::parse_config(read_file(models() / "llama/config_llama3.json"), "config_llama3.json");
  const auto a = nb::rope_frequencies(16, 1e4, found.rope_scaling).inverse.to_vector<float>();
  const auto b = nb::rope_frequencies(16, 1e4, config.rope_scaling).inverse.to_vector<float>();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5 * b[i]) << i;
}

TEST(Checkpoint, PacksWhileLoading) {
  auto model = Checkpoint::open(models() / "qwen3");
  const auto name = "model.layers.0.mlp.up_proj.weight";
  const nb::Tensor dense = model.get(name);
  model.pack_while_loading("affine8-g64");
  const nb::Tensor packed = model.get(name);
  EXPECT_EQ(nb::packing_of(packed).format.name, "affine8-g64");
  EXPECT_EQ(model.find(name)->bytes, packed.nbytes());
  EXPECT_LT(largest_difference(packed, dense), 0.01);
  EXPECT_FALSE(model.get("model.norm.weight").is_quantized());
  EXPECT_THAT(error_text([&] { model.pack_while_loading("affine7-g9"); }), HasSubstr("affine7-g9"));
}

/// A model folder of this test's own that can be spoiled.
class Spoiled : public TemporaryFolder {
 public:
  Spoiled() {
    fs::copy(models() / "qwen2_mlx", path(), fs::copy_options::recursive);
    fs::remove(*this / "model.safetensors.index.json");
  }
  void tensors(const std::function<void(nb::TensorMap*)>& change) {
    auto file = nb::load_safetensors(*this / "model.safetensors");
    change(&file.tensors);
    nb::save_safetensors(*this / "model.safetensors", file.tensors, file.metadata);
  }
  void config(const std::function<void(nlohmann::json*)>& change) {
    auto json = nlohmann::json::parse(read_file(*this / "config.json"));
    change(&json);
    write_file(*this / "config.json", json.dump());
  }
  std::string error() const {
    return error_text([&] {
      const auto model = Checkpoint::open(path());
      for (const auto& tensor : model.tensors()) model.get(tensor.name);
    });
  }
};
constexpr const char* kLayer = "model.layers.0.self_attn.q_proj";

TEST(Checkpoint, BrokenTripletsAreRefusedByName) {
  const auto part = [](const char* suffix) { return std::string(kLayer) + suffix; };
  {
    Spoiled m;
    m.tensors([&](auto* t) {
      t->erase(part(".scales"));
      t->erase(part(".biases"));
    });
    EXPECT_THAT(m.error(), HasSubstr(part(".weight: is packed, but its .scales are missing")));
  }
  {
    Spoiled m;
    m.tensors([&](auto* t) { t->erase(part(".biases")); });
    EXPECT_THAT(m.error(), HasSubstr(part(".weight: is packed, but its .biases are missing")));
  }
  {
    Spoiled m;
    m.tensors([&](auto* t) { t->erase(part(".weight")); });
    EXPECT_THAT(m.error(), HasSubstr(part(".scales: has no .weight")));
  }
  {
    Spoiled m;
    m.tensors([&](auto* t) { (*t)[part(".scales")] = nb::slice(t->at(part(".scales")), 0, 0, 32); });
    EXPECT_THAT(m.error(), HasSubstr("rows do not fit"));
  }
  {
    Spoiled m;
    m.tensors([&](auto* t) { (*t)[part(".biases")] = nb::cast(t->at(part(".biases")), nb::DType::f32); });
    EXPECT_THAT(m.error(), HasSubstr("scales and biases differ"));
  }
  {
    Spoiled m;
    m.tensors([&](auto* t) { (*t)[part(".weight")] = nb::cast(t->at(part(".weight")), nb::DType::i32); });
    EXPECT_THAT(m.error(), HasSubstr("codes are I32"));
  }
  for (const auto& [settings, says] : std::vector<std::pair<std::string, std::string>>{
           {R"({"bits": 4, "group_size": 32})", "do not divide"},
           {R"({"bits": 7, "group_size": 64})", "bits 7 with group_size 64 is not supported"},
           {R"({"bits": 4, "group_size": 64, "mode": "mxfp5"})", "mode mxfp5 is not supported"},
           {R"({"bits": 4, "group_size": 64, "mode": "mxfp4"})", "bits 4 with group_size 64 is not supported"},
           {R"({"mode": "mxfp4"})", "do not divide"},
           {R"({"bits": 4, "group_size": 32, "mode": "mxfp4"})", "do not divide"},
           {R"({"bits": -1})", "not a small whole number"},
           {"false", "config.json says that it is not packed"},
           {R"({"bits": 8})", "do not divide"}}) {
    Spoiled m;
    m.config([&json = settings](auto* c) { (*c)["quantization"][kLayer] = nlohmann::json::parse(json); });
    EXPECT_THAT(m.error(), HasSubstr(says)) << settings;
    EXPECT_THAT(m.error(), HasSubstr(kLayer)) << settings;
  }
}

TEST(Checkpoint, CodesOfWhichNobodySaysHowTheyArePackedAreNotTakenForWeights) {
  Spoiled m;
  m.config([](auto* c) {
    c->erase("quantization");
    c->erase("quantization_config");
  });
  EXPECT_GT(Checkpoint::open(m.path()).tensors().size(), 10u);
  EXPECT_THAT(m.error(), HasSubstr("lm_head.weight: has .scales, as if packed by mlx-lm"));
}

TEST(Checkpoint, AnOverrideFallsBackToItsModesDefaults) {
  Spoiled m;
  m.config([&](auto* c) {
    (*c)["quantization"]["bits"] = 8;
    (*c)["quantization"][kLayer] = {{"group_size", 64}};  // so bits is 4, not 8
  });
  // Every other layer now has the wrong bits; this one must not be the one that is named.
  EXPECT_THAT(m.error(), ::testing::Not(HasSubstr(kLayer)));
}

TEST(Checkpoint, AnIndexMustBeTrue) {
  const TemporaryFolder scratch;
  fs::copy(models() / "qwen3", scratch.path(), fs::copy_options::recursive);
  const fs::path index = scratch / "model.safetensors.index.json";
  const auto original = nlohmann::json::parse(read_file(index));
  const auto open_with = [&](const std::function<void(nlohmann::json*)>& change) {
    auto json = original;
    change(&json);
    write_file(index, json.dump());
    return error_text([&] { Checkpoint::open(scratch.path()); });
  };
  EXPECT_THAT(open_with([](auto* j) { (*j)["weight_map"]["ghost.weight"] = "model-00001-of-00002.safetensors"; }),
              HasSubstr("ghost.weight"));
  EXPECT_THAT(open_with([](auto* j) { (*j)["weight_map"]["a"] = "model-00009.safetensors"; }),
              HasSubstr("index.json: a: model-00009.safetensors is not there"));
  EXPECT_THAT(open_with([](auto* j) { (*j)["weight_map"]["a"] = "../secret"; }), HasSubstr("not the name of a file"));
  EXPECT_THAT(open_with([](auto* j) { (*j)["weight_map"] = 3; }), HasSubstr("weight_map"));
  EXPECT_THAT(open_with([](auto* j) { j->erase("weight_map"); }), HasSubstr("weight_map"));
  write_file(index, "{\"weight_map\":");
  EXPECT_THAT(error_text([&] { Checkpoint::open(scratch.path()); }), HasSubstr("not JSON"));
  fs::copy(scratch / "model-00001-of-00002.safetensors", scratch / "model-copy.safetensors");
  fs::remove(index);
  EXPECT_THAT(error_text([&] { Checkpoint::open(scratch.path()); }), HasSubstr("too"));
}

TEST(Checkpoint, WhatIsNoModelIsRefused) {
  const TemporaryFolder scratch;
  EXPECT_THAT(error_text([&] { Checkpoint::open(scratch / "none"); }), HasSubstr("no such file"));
  EXPECT_THAT(error_text([&] { Checkpoint::open(scratch.path()); }), HasSubstr("no model*.safetensors"));
  write_file(scratch / "x.bin", "hello");
  EXPECT_THAT(error_text([&] { Checkpoint::open(scratch / "x.bin"); }), HasSubstr("neither"));
  write_file(scratch / "x.gguf", "hello");
  EXPECT_THAT(error_text([&] { Checkpoint::open(scratch / "x.gguf"); }), HasSubstr("not a GGUF"));
}

TEST(Checkpoint, AnUnknownArchitectureIsOpenedButHasNoConfiguration) {
  Spoiled m;
  m.config([](auto* c) { (*c)["model_type"] = "mamba"; });
  const auto model = Checkpoint::open(m.path());
  EXPECT_EQ(model.architecture(), "mamba");
  EXPECT_GT(model.tensors().size(), 10u);
  EXPECT_THAT(error_text([&] { model.config(); }), HasSubstr("mamba"));
}

nb::files::TensorInfo weight_named(const std::string& name) {
  nb::files::TensorInfo tensor;
  tensor.name = name;
  tensor.shape = {64, 64};
  tensor.dtype = nb::DType::f32;
  return tensor;
}

TEST(PackPlan, KeepTakesGlobsOfTensorsAndModules) {
  const auto packs = [](const char* keep, const char* name) {
    return nb::files::make_pack_plan("affine4-g64", {keep}).packs(weight_named(name));
  };
  EXPECT_FALSE(packs("*", "a.weight"));
  EXPECT_FALSE(packs("*lm_head*", "lm_head.weight"));
  EXPECT_FALSE(packs("model.layers.?.mlp.up_proj", "model.layers.3.mlp.up_proj.weight"));
  EXPECT_FALSE(packs("model.layers.[3-5].*", "model.layers.4.mlp.up_proj.weight"));
  EXPECT_TRUE(packs("model.layers.?.mlp.up_proj", "model.layers.13.mlp.up_proj.weight"));
  EXPECT_TRUE(packs("up_proj", "model.layers.3.mlp.up_proj.weight"));
}

TEST(PackPlan, AFileGivesSingleModulesAnotherFormat) {
  const TemporaryFolder scratch;
  write_file(scratch / "modules.json", R"({"*.mlp.*": "affine8-g64", "*.mlp.down_proj": "nf4", "lm_head": false})");
  nb::files::PackPlan plan = nb::files::make_pack_plan("affine4-g64");
  nb::files::read_modules(scratch / "modules.json", &plan);
  EXPECT_EQ(plan.format_of("model.layers.0.mlp.up_proj.weight"), "affine8-g64");
  EXPECT_EQ(plan.format_of("model.layers.0.mlp.down_proj.weight"), "nf4");
  EXPECT_EQ(plan.format_of("model.layers.0.self_attn.q_proj.weight"), "affine4-g64");
  EXPECT_FALSE(plan.packs(weight_named("lm_head.weight")));
  for (const char* text : {"[]", R"({"a": 4})", R"({"a": true})", R"({"a": "affine7"})"}) {
    write_file(scratch / "modules.json", text);
    EXPECT_THROW(nb::files::read_modules(scratch / "modules.json", &plan), nb::Error) << text;
  }
}

TEST(PackPlan, AGlobThatNamesNothingIsRefused) {
  const std::vector<nb::files::TensorInfo> tensors{weight_named("lm_head.weight")};
  nb::files::make_pack_plan("affine4-g64", {"lm_head"}).require_globs_to_match(tensors);
  EXPECT_THAT(
      error_text([&] { nb::files::make_pack_plan("affine4-g64", {"lm_haed"}).require_globs_to_match(tensors); }),
      HasSubstr("lm_haed"));
}

}  // namespace
}  // namespace nibble_test
