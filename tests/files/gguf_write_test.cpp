#include <gmock/gmock.h>

#include "adapters/files/folder_write.h"
#include "adapters/files/gguf.h"
#include "adapters/files/gguf_model_write.h"
#include "file_test_support.h"
#include "nibble/quantization.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::Checkpoint;
using nb::files::FolderKind;
using nb::files::GgufFile;
using nb::files::GgufOptions;
using nb::files::WriteOptions;
using ::testing::HasSubstr;

constexpr const char* kGgufModels[] = {"tiny_llama", "tiny_llama3_rope", "tiny_qwen2"};

std::string stored_bytes(const GgufFile& file, const nb::files::GgufTensor& tensor) {
  const auto bytes = file.files()[tensor.file]->bytes().subspan(tensor.begin, tensor.bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const GgufFile first(a), second(b);
  EXPECT_EQ(first.tensors().size(), second.tensors().size());
  for (const auto& tensor : first.tensors()) {
    const auto* other = second.find_tensor(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(tensor.type, other->type) << tensor.name;
    EXPECT_EQ(tensor.shape, other->shape) << tensor.name;
    EXPECT_EQ(stored_bytes(first, tensor), stored_bytes(second, *other)) << tensor.name;
  }
}

void expect_same_model(const fs::path& a, const fs::path& b) {
  const auto first = Checkpoint::open(a), second = Checkpoint::open(b);
  EXPECT_EQ(first.architecture(), second.architecture());
  EXPECT_EQ(first.config_json(), second.config_json());
  EXPECT_EQ(first.eos_token_ids(), second.eos_token_ids());
  const auto &x = first.tokenizer(), &y = second.tokenizer();
  EXPECT_EQ(x.kind, y.kind);
  EXPECT_EQ(x.tokens, y.tokens);
  EXPECT_EQ(x.types, y.types);
  EXPECT_EQ(x.merges, y.merges);
  EXPECT_EQ(x.pre_tokenizer, y.pre_tokenizer);
  EXPECT_EQ(x.ignore_merges, y.ignore_merges);
  EXPECT_EQ(x.split_digits, y.split_digits);
  EXPECT_EQ(x.nfc, y.nfc);
  EXPECT_EQ(x.prefix, y.prefix);
  EXPECT_EQ(x.bos_id, y.bos_id);
  EXPECT_EQ(x.eos_id, y.eos_id);
  EXPECT_EQ(x.unk_id, y.unk_id);
  EXPECT_EQ(x.add_bos, y.add_bos);
  EXPECT_EQ(x.add_eos, y.add_eos);
  EXPECT_EQ(x.chat_template, y.chat_template);
}

TEST(GgufWrite, AFileComesBackByteForByte) {
  for (const std::string name : kGgufModels) {
    const TemporaryFolder scratch;
    const fs::path original = goldens() / (name + ".gguf");
    EXPECT_TRUE(write_model_gguf(Checkpoint::open(original), scratch / "m.gguf", {}).losses.empty());
    expect_same_tensors(original, scratch / "m.gguf");
    expect_same_model(original, scratch / "m.gguf");
    EXPECT_EQ(Checkpoint::open(original).tokenizer().scores, Checkpoint::open(scratch / "m.gguf").tokenizer().scores);
  }
}

TEST(GgufWrite, AFolderHoldsEveryTensorOfAFile) {
  for (const std::string name : kGgufModels) {
    const TemporaryFolder scratch;
    const fs::path original = goldens() / (name + ".gguf");
    write_model_folder(Checkpoint::open(original), scratch / "folder", {{}, FolderKind::safetensors});
    write_model_gguf(Checkpoint::open(scratch / "folder"), scratch / "m.gguf", {});
    expect_same_tensors(original, scratch / "m.gguf");
    expect_same_model(original, scratch / "m.gguf");
  }
}

// Rows of q and k go there and come back; so do experts, which folders hold one by one.
TEST(GgufWrite, AFoldersWeightsKeepTheirValues) {
  for (const std::string name : {"llama", "llama_bias", "mistral", "qwen2", "qwen3", "qwen2_moe"}) {
    const TemporaryFolder scratch;
    const auto model = Checkpoint::open(models() / name);
    write_model_gguf(model, scratch / "m.gguf", {});
    const auto written = Checkpoint::open(scratch / "m.gguf");
    ASSERT_EQ(written.tensors().size(), model.tensors().size()) << name;
    for (const auto& info : model.tensors()) {
      const nb::Tensor a = model.get(info.name), b = written.get(info.name);
      EXPECT_EQ(a.shape(), b.shape()) << name << " " << info.name;
      EXPECT_EQ(nb::dequantize(a, nb::DType::f32).to_vector<float>(),
                nb::dequantize(b, nb::DType::f32).to_vector<float>())
          << name << " " << info.name;
    }
    const auto &a = model.config(), &b = written.config();
    EXPECT_EQ(a.experts, b.experts) << name;
    EXPECT_EQ(a.head_dim, b.head_dim) << name;
    EXPECT_EQ(a.rope_theta, b.rope_theta) << name;
    EXPECT_EQ(a.attention_bias, b.attention_bias) << name;
    EXPECT_EQ(a.mlp_bias, b.mlp_bias) << name;
    EXPECT_EQ(a.tie_word_embeddings, b.tie_word_embeddings) << name;
    EXPECT_EQ(model.eos_token_ids(), written.eos_token_ids()) << name;
  }
}

TEST(GgufWrite, RopeScalingIsSaid) {
  for (const std::string rule : {"linear", "llama3", "yarn"}) {
    const TemporaryFolder scratch;
    fs::create_directory(scratch / "model");
    fs::copy_file(models() / "llama/model.safetensors", scratch / "model/model.safetensors");
    fs::copy_file(models() / "llama" / ("config_" + rule + ".json"), scratch / "model/config.json");
    const auto model = Checkpoint::open(scratch / "model");
    write_model_gguf(model, scratch / "m.gguf", {});
    const nb::RopeScaling a = model.config().rope_scaling;
    const nb::RopeScaling b = Checkpoint::open(scratch / "m.gguf").config().rope_scaling;
    EXPECT_EQ(a.type, b.type) << rule;
    EXPECT_EQ(a.factor, b.factor) << rule;
    const auto first = nb::rope_frequencies(16, 1e4, a), second = nb::rope_frequencies(16, 1e4, b);
    EXPECT_EQ(first.inverse.to_vector<float>(), second.inverse.to_vector<float>()) << rule;
    EXPECT_EQ(first.scale, second.scale) << rule;
  }
}

TEST(GgufWrite, IdsWithoutATokenAreHoles) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(models() / "qwen3");
  write_model_gguf(model, scratch / "m.gguf", {});
  auto expected = model.tokenizer().tokens;
  expected.resize(static_cast<std::size_t>(model.config().vocab_size));
  EXPECT_EQ(Checkpoint::open(scratch / "m.gguf").tokenizer().tokens, expected);
}

TEST(GgufWrite, WhatGgufCannotSayIsRefusedByName) {
  const TemporaryFolder scratch;
  const auto mlx = Checkpoint::open(models() / "qwen2_mlx");
  const auto text = error_text([&] { write_model_gguf(mlx, scratch / "m.gguf", {}); });
  EXPECT_THAT(text, HasSubstr("lm_head.weight: affine6-g64"));
  EXPECT_THAT(text, HasSubstr("cannot be stored in GGUF without a loss"));
  EXPECT_THAT(error_text([&] { write_model_gguf(Checkpoint::open(models() / "qwen3_moe"), scratch / "m.gguf", {}); }),
              HasSubstr("mlp_only_layers"));
  GgufOptions affine;
  affine.plan = nb::files::make_pack_plan("affine4-g64");
  EXPECT_THAT(error_text([&] { write_model_gguf(mlx, scratch / "m.gguf", affine); }),
              HasSubstr("affine4-g64 cannot be stored in GGUF"));
  EXPECT_TRUE(fs::is_empty(scratch.path())) << "nothing is left";

  GgufOptions requantize;
  requantize.requantize = nb::files::make_pack_plan("q8_0");
  write_model_gguf(mlx, scratch / "m.gguf", requantize);
  EXPECT_EQ(Checkpoint::open(scratch / "m.gguf").find("lm_head.weight")->format, "q8_0");
}

TEST(GgufWrite, OnlyAGgufIsReplaced) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(models() / "llama_bias");
  GgufOptions force;
  force.force = true;
  write_file(scratch / "m.gguf", "precious");
  EXPECT_THAT(error_text([&] { write_model_gguf(model, scratch / "m.gguf", force); }), HasSubstr("not a .gguf file"));
  EXPECT_EQ(read_file(scratch / "m.gguf"), "precious");
  fs::remove(scratch / "m.gguf");
  write_model_gguf(model, scratch / "m.gguf", {});
  EXPECT_THAT(error_text([&] { write_model_gguf(model, scratch / "m.gguf", {}); }), HasSubstr("exists already"));
  write_model_gguf(model, scratch / "m.gguf", force);
}

// The same numbers in the other's words.
TEST(GgufWrite, BlocksAndMlxsTripletsOfTheSameNumbers) {
  const TemporaryFolder scratch;
  const auto original = Checkpoint::open(goldens() / "tiny_llama.gguf");
  write_model_folder(original, scratch / "mlx", {{}, FolderKind::mlx});
  const auto mlx = Checkpoint::open(scratch / "mlx");
  EXPECT_EQ(mlx.find("model.layers.0.self_attn.k_proj.weight")->format, "affine4-g32");
  for (const auto& info : original.tensors()) {
    EXPECT_EQ(nb::dequantize(original.get(info.name), nb::DType::f32).to_vector<float>(),
              nb::dequantize(mlx.get(info.name), nb::DType::f32).to_vector<float>())
        << info.name;
  }
  WriteOptions k;
  k.plan = nb::files::make_pack_plan("affine4-g64");
  k.dtype = nb::DType::f16;
  nb::files::FolderOptions packed;
  static_cast<WriteOptions&>(packed) = k;
  write_model_folder(Checkpoint::open(models() / "llama"), scratch / "affine", packed);
  write_model_gguf(Checkpoint::open(scratch / "affine"), scratch / "m.gguf", {});
  const auto affine = Checkpoint::open(scratch / "affine"), gguf = Checkpoint::open(scratch / "m.gguf");
  EXPECT_EQ(gguf.find("model.layers.0.mlp.up_proj.weight")->format, "q4_1");
  for (const auto& info : affine.tensors()) {
    EXPECT_EQ(nb::dequantize(affine.get(info.name), nb::DType::f32).to_vector<float>(),
              nb::dequantize(gguf.get(info.name), nb::DType::f32).to_vector<float>())
        << info.name;
  }
}

}  // namespace
}  // namespace nibble_test
