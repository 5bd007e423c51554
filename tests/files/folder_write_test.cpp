#include "adapters/files/folder_write.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "adapters/files/packed_pieces.h"
#include "file_test_support.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::Checkpoint;
using nb::files::FolderOptions;
using nb::files::make_pack_plan;
using nb::files::write_model_folder;
using nlohmann::json;
using ::testing::HasSubstr;

bool same_bytes(const nb::Tensor& a, const nb::Tensor& b) {
  if (a.is_quantized() != b.is_quantized() || a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  if (!a.is_quantized()) return bytes_of(nb::contiguous(a)) == bytes_of(nb::contiguous(b));
  const auto x = nb::packing_of(a), y = nb::packing_of(b);
  for (std::size_t c = 0; c < x.components.size(); ++c) {
    if (bytes_of(x.components[c].second) != bytes_of(y.components[c].second)) return false;
  }
  return x.format.name == y.format.name;
}

TEST(FolderWrite, QuantizedShardsStayShards) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(models() / "qwen3");
  std::size_t reports = 0;
  FolderOptions options;
  options.plan = make_pack_plan("affine4-g64", {"model.layers.0.mlp.*"});
  options.progress = [&](std::size_t done, std::size_t total, std::string_view) {
    EXPECT_LE(done, total);
    ++reports;
  };
  write_model_folder(model, scratch / "out", options);
  EXPECT_EQ(reports, model.tensors().size() + 1);

  const auto out = Checkpoint::open(scratch / "out");
  EXPECT_EQ(out.weight_files().size(), 2u);
  const auto index = json::parse(read_file(scratch / "out/model.safetensors.index.json"));
  EXPECT_TRUE(index["weight_map"].contains("model.embed_tokens.scales"));
  std::uint64_t total = 0;
  for (const auto& info : out.tensors()) total += info.bytes;
  EXPECT_EQ(index["metadata"]["total_size"], total);
  for (const auto& info : model.tensors()) {
    const nb::Tensor before = model.get(info.name), after = out.get(info.name);
    const bool kept = info.name.find("layers.0.mlp.") != std::string::npos || info.shape.rank() == 1;
    const nb::Tensor expected = kept ? before : nb::quantize(before, {.bits = 4, .group_size = 64});
    EXPECT_TRUE(same_bytes(after, expected)) << info.name << " " << describe(after) << " " << describe(expected);
  }
  const auto config = json::parse(read_file(scratch / "out/config.json"));
  EXPECT_EQ(config["quantization"], json::parse(R"({"group_size":64,"bits":4,"mode":"affine"})"));
  EXPECT_EQ(config["quantization_config"], config["quantization"]);
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_FALSE(config.contains("rope_parameters"));
  EXPECT_EQ(read_file(scratch / "out/tokenizer.json"), read_file(models() / "qwen3/tokenizer.json"));
  EXPECT_EQ(read_file(scratch / "out/generation_config.json"), read_file(models() / "qwen3/generation_config.json"));
}

TEST(FolderWrite, FormatsThatMlxDoesNotKnowAreNamedWithTheirVersion) {
  const auto model = Checkpoint::open(models() / "qwen3");
  for (const nb::FormatInfo& format : nb::formats()) {
    if (format.mode.empty() || format.mode_version == 0) continue;
    SCOPED_TRACE(format.name);
    const TemporaryFolder scratch;
    FolderOptions options;
    options.plan = make_pack_plan(format.name);
    options.plan->modules = {{"*.up_proj", "affine8-g64"}};
    write_model_folder(model, scratch / "out", options);
    const auto out = Checkpoint::open(scratch / "out");
    for (const auto& info : model.tensors()) {
      if (!options.plan->packs(info)) continue;
      const nb::Tensor expected = nb::quantize(model.get(info.name), {.format = options.plan->format_of(info.name)});
      EXPECT_TRUE(same_bytes(out.get(info.name), expected)) << info.name;
    }
    auto config = json::parse(read_file(scratch / "out/config.json"));
    const json& packing = config["quantization"];
    EXPECT_EQ(packing["mode"], format.name);
    EXPECT_EQ(packing["version"], 1);
    EXPECT_EQ(packing["group_size"], format.group_size);
    config["quantization"]["version"] = 2;
    write_file(scratch / "out/config.json", config.dump());
    EXPECT_THAT(error_text([&] { Checkpoint::open(scratch / "out"); }), testing::HasSubstr("version"));
  }
}

TEST(FolderWrite, CopyingAnMlxFolderKeepsEveryPackingAndItsOverrides) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(models() / "qwen2_mlx");
  write_model_folder(model, scratch / "out", {});
  const auto out = Checkpoint::open(scratch / "out");
  ASSERT_EQ(out.tensors().size(), model.tensors().size());
  for (const auto& info : model.tensors())
    EXPECT_TRUE(same_bytes(out.get(info.name), model.get(info.name))) << info.name;
  EXPECT_EQ(read_file(scratch / "out/chat_template.jinja"), read_file(models() / "qwen2_mlx/chat_template.jinja"));
}

TEST(FolderWrite, DequantizingGivesAPlainFolder) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(models() / "qwen2_mlx");
  FolderOptions options;
  options.dequantize = true;
  options.dtype = nb::DType::f32;
  write_model_folder(model, scratch / "out", options);
  const auto out = Checkpoint::open(scratch / "out");
  for (const auto& info : model.tensors()) {
    EXPECT_EQ(out.find(info.name)->format, "f32") << info.name;
    EXPECT_EQ(out.get(info.name).to_vector<float>(),
              nb::dequantize(model.get(info.name), nb::DType::f32).to_vector<float>())
        << info.name;
  }
  const auto config = json::parse(read_file(scratch / "out/config.json"));
  EXPECT_FALSE(config.contains("quantization"));
  EXPECT_FALSE(config.contains("quantization_config"));
  EXPECT_EQ(config["torch_dtype"], "float32");
  EXPECT_EQ(nb::load_safetensors(scratch / "out/model.safetensors").metadata.at("format"), "pt");
}

TEST(FolderWrite, AGgufBecomesAFolder) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(goldens() / "tiny_qwen2.gguf");
  FolderOptions options;
  options.plan = make_pack_plan("affine8-g64");
  write_model_folder(model, scratch / "out", options);
  const auto out = Checkpoint::open(scratch / "out");
  for (const auto& info : model.tensors()) {
    const nb::Tensor values = nb::dequantize(model.get(info.name), nb::DType::bf16);
    const nb::Tensor expected = info.shape.rank() == 1 ? values : nb::quantize(values, {.bits = 8, .group_size = 64});
    EXPECT_TRUE(same_bytes(out.get(info.name), expected)) << info.name;
  }
  EXPECT_EQ(out.config().rope_theta, model.config().rope_theta);
  EXPECT_EQ(out.config().tie_word_embeddings, model.config().tie_word_embeddings);
  EXPECT_EQ(out.config().rms_norm_eps, model.config().rms_norm_eps);
  EXPECT_EQ(out.eos_token_ids(), model.eos_token_ids());
  const auto &a = model.tokenizer(), &b = out.tokenizer();
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.pre_tokenizer, b.pre_tokenizer);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.merges, b.merges);
  EXPECT_EQ(a.types, b.types);
  EXPECT_EQ(a.bos_id, b.bos_id);
  EXPECT_EQ(a.eos_id, b.eos_id);
  EXPECT_EQ(a.add_bos, b.add_bos);
  EXPECT_EQ(a.chat_template, b.chat_template);
  EXPECT_EQ(a.added.size(), b.added.size());
}

std::vector<std::string> pieces_made(const nb::files::TokenizerSource& source) {
  std::vector<std::string> pieces;
  for (const auto& [left, right] : source.merges) {
    pieces.push_back(source.tokens[static_cast<std::size_t>(left)] + source.tokens[static_cast<std::size_t>(right)]);
  }
  return pieces;
}

TEST(FolderWrite, SentencepieceMergesAreFoundAgain) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(goldens() / "tiny_llama.gguf");
  FolderOptions options;
  options.dequantize = true;
  write_model_folder(model, scratch / "out", options);
  // Made of the same pieces by another hand; which of one piece's splits comes first is of no consequence.
  const auto reference = nb::files::read_tokenizer_json(models() / "llama/tokenizer.json");
  const auto written = nb::files::read_tokenizer_json(scratch / "out/tokenizer.json");
  EXPECT_EQ(written.kind, nb::files::TokenizerSource::Kind::sentencepiece_pieces);
  EXPECT_EQ(written.tokens, reference.tokens);
  EXPECT_EQ(pieces_made(written), pieces_made(reference));
  EXPECT_EQ(written.prefix, reference.prefix);
  EXPECT_EQ(written.add_bos, reference.add_bos);
  EXPECT_EQ(written.types, model.tokenizer().types);
}

TEST(FolderWrite, AnExistingFolderIsRefusedUnlessForced) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(models() / "llama");
  fs::create_directory(scratch / "out");
  write_file(scratch / "out/mine.txt", "mine");
  EXPECT_THAT(error_text([&] { write_model_folder(model, scratch / "out", {}); }), HasSubstr("exists already"));
  EXPECT_EQ(read_file(scratch / "out/mine.txt"), "mine");
  FolderOptions force;
  force.force = true;
  // Somebody's folder, which no run of nibble made, is not thrown away.
  EXPECT_THAT(error_text([&] { write_model_folder(model, scratch / "out", force); }),
              HasSubstr("not a model's folder"));
  EXPECT_EQ(read_file(scratch / "out/mine.txt"), "mine");
  write_file(scratch / "out/config.json", "{}");
  write_model_folder(model, scratch / "out", force);
  EXPECT_FALSE(fs::exists(scratch / "out/mine.txt"));
  // Nor is the folder around the model that is being read.
  fs::copy(models() / "llama", scratch / "out/inner");
  EXPECT_THAT(error_text([&] { write_model_folder(Checkpoint::open(scratch / "out/inner"), scratch / "out", force); }),
              HasSubstr("holds"));
  EXPECT_TRUE(fs::exists(scratch / "out/inner/config.json"));
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 1);
}

TEST(FolderWrite, AFailureLeavesNothing) {
  const TemporaryFolder scratch;
  const auto model = Checkpoint::open(goldens() / "unsupported_q8_1.gguf");
  FolderOptions options;
  options.dequantize = true;
  EXPECT_THAT(error_text([&] { write_model_folder(model, scratch / "out", options); }),
              HasSubstr("Q8_1 is not supported"));
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 0);

  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{4096, old.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  nb::ErrorCode code{};
  error_text([&] { write_model_folder(Checkpoint::open(models() / "llama"), scratch / "out", {}); }, &code);
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(code, nb::ErrorCode::io_error);
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 0);
}

// Packed by somebody else, tensors look like plain ones: no folder is made of them.
TEST(FolderWrite, WhatOthersPackedIsRefused) {
  const TemporaryFolder scratch;
  const auto refusal = [&](const char* config, const nb::TensorMap& tensors) {
    fs::create_directories(scratch / "in");
    nb::save_safetensors(scratch / "in/model.safetensors", tensors);
    write_file(scratch / "in/config.json", config);
    const std::string text =
        error_text([&] { write_model_folder(Checkpoint::open(scratch / "in"), scratch / "out", {}); });
    EXPECT_FALSE(fs::exists(scratch / "out"));
    return text;
  };
  const nb::TensorMap plain{{"a.weight", nb::ones({8, 64})}};
  EXPECT_THAT(refusal(R"({"model_type":"llama","quantization_config":{"quant_method":"aqlm","bits":4}})", plain),
              HasSubstr("quant_method \"aqlm\" is not supported"));
  const nb::TensorMap triplet{
      {"a.weight", nb::zeros({8, 8}, nb::DType::u32)}, {"a.scales", nb::ones({8, 1})}, {"a.biases", nb::ones({8, 1})}};
  EXPECT_THAT(refusal(R"({"model_type":"llama"})", triplet), HasSubstr("a.weight: has scales beside it"));
  // The packed weights beside it would say of this one that it is packed too.
  const nb::TensorMap codes{{"a.weight", nb::zeros({8, 8}, nb::DType::u32)}, {"b.weight", nb::ones({8, 64})}};
  EXPECT_THAT(refusal(R"({"model_type":"llama"})", codes), HasSubstr("a.weight: is U32"));
}

// Tensors pass through memory a few rows at a time.
TEST(FolderWrite, NoTensorIsHeld) {
  const TemporaryFolder scratch;
  constexpr std::int64_t kElements = 4096 * 1024;
  nb::TensorMap tensors{{"a.weight", nb::random_normal({4096, 1024}, 1, 0, 1, nb::DType::bf16)},
                        {"experts.weight", nb::random_normal({2, 2048, 1024}, 2, 0, 1, nb::DType::bf16)}};
  fs::create_directory(scratch / "in");
  nb::save_safetensors(scratch / "in/model.safetensors", tensors);
  write_file(scratch / "in/config.json", R"({"model_type":"something"})");
  tensors.clear();
  for (const bool packs : {true, false}) {
    FolderOptions options;
    options.force = true;
    if (packs) options.plan = make_pack_plan("affine8-g32");
    options.dtype = nb::DType::f32;
    const auto model = Checkpoint::open(scratch / "in");
    nb::reset_stats();
    const std::uint64_t before = nb::stats().bytes_allocated;
    write_model_folder(model, scratch / "out", options);
    EXPECT_LE(nb::stats().peak_bytes_allocated - before, 2u * kElements) << packs;
  }
}

TEST(FolderWrite, OnlyWhatAGroupDividesIsPacked) {
  const TemporaryFolder scratch;
  nb::TensorMap tensors{{"a.weight", nb::random_normal({8, 64}, 1)},
                        {"b.weight", nb::random_normal({8, 172}, 2)},
                        {"experts.weight", nb::random_normal({2, 8, 64}, 3)},
                        {"conv.weight", nb::random_normal({2, 2, 8, 64}, 4)},
                        {"a.bias", nb::random_normal({64}, 5)},
                        {"ids.weight", nb::zeros({4, 64}, nb::DType::i32)}};
  fs::create_directory(scratch / "in");
  nb::save_safetensors(scratch / "in/model.safetensors", tensors);
  write_file(scratch / "in/config.json", R"({"model_type":"something"})");
  FolderOptions options;
  options.plan = make_pack_plan("affine4-g64");
  write_model_folder(Checkpoint::open(scratch / "in"), scratch / "out", options);
  const auto out = Checkpoint::open(scratch / "out");
  const auto format = [&](const char* name) { return out.find(name)->format; };
  EXPECT_EQ(format("a.weight"), "affine4-g64");
  EXPECT_EQ(format("experts.weight"), "affine4-g64");
  EXPECT_EQ(out.find("experts.weight")->shape, (nb::Shape{2, 8, 64}));
  EXPECT_EQ(format("b.weight"), "f32");
  EXPECT_EQ(format("conv.weight"), "f32");
  EXPECT_EQ(format("a.bias"), "f32");
  EXPECT_EQ(format("ids.weight"), "i32");
  EXPECT_EQ(out.architecture(), "something");
}

}  // namespace
}  // namespace nibble_test
