// quantize and convert: folders that come out, and what of them is refused.
#include <algorithm>
#include <map>

#include "tests/cli/program.h"
#include "tests/support/sanitized.h"

namespace nibble::testing {
namespace {

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, std::string> formats_of(const fs::path& model) {
  std::map<std::string, std::string> formats;
  const Json info = answer({"info", model});
  for (const Json& tensor : info["tensors"]) formats[tensor["name"]] = tensor["format"];
  return formats;
}

Npy logits(const fs::path& model, std::vector<std::string> more = {}) {
  const TemporaryFolder scratch;
  std::vector<std::string> arguments{"logits",          model,         "--tokens", "5,6,7,8", "--out",
                                     scratch / "l.npy", "--precision", "exact"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  answer(arguments);
  return read_npy(scratch / "l.npy");
}

/// A model of f32 weights of one shape, all zeros: a file with a header and a hole.
void write_zeros(const fs::path& folder, const std::string& model_type, const std::vector<std::string>& names,
                 const std::vector<std::uint64_t>& shape) {
  fs::create_directory(folder);
  write_file(folder / "config.json", Json{{"model_type", model_type}}.dump());
  std::uint64_t bytes = 4, end = 0;
  for (const std::uint64_t size : shape) bytes *= size;
  Json header;
  for (const std::string& name : names) {
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  write_file(folder / "model.safetensors", std::string(reinterpret_cast<const char*>(&length), 8) + text);
  fs::resize_file(folder / "model.safetensors", 8 + length + end);
}

TEST(Quantize, PacksLinearLayersAndTheEmbedding) {
  const TemporaryFolder scratch;
  answer({"quantize", models() / "qwen2", scratch / "out", "--bits", "4", "--group-size", "64"});
  for (const auto& [name, format] : formats_of(scratch / "out")) {
    const bool dense = name.find("norm") != std::string::npos || name.ends_with(".bias");
    EXPECT_EQ(format, dense ? "dense" : "affine4-g64") << name;
  }
  const Json config = read_json(scratch / "out/config.json");
  EXPECT_EQ(config["quantization"]["bits"], 4);
  EXPECT_EQ(config["quantization"]["group_size"], 64);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    EXPECT_EQ(read_file(scratch / "out" / name), read_file(models() / "qwen2" / name)) << name;
  }
}

TEST(Quantize, TheFolderMeansWhatPackingWhileLoadingMeans) {
  const TemporaryFolder scratch;
  for (const char* model : {"llama", "qwen3"}) {
    const fs::path out = scratch / model;
    answer({"quantize", models() / model, out, "--bits", "3", "--group-size", "32"});
    EXPECT_LT(max_difference(logits(out), logits(models() / model, {"--quantize", "affine3-g32"})), 1e-5) << model;
    EXPECT_GT(max_difference(logits(out), logits(models() / model)), 0.05) << model;
  }
}

TEST(Quantize, ShardsAsTheInputIs) {
  const TemporaryFolder scratch;
  answer({"quantize", models() / "qwen3", scratch / "out"});
  const auto names = names_in(scratch / "out");
  EXPECT_TRUE(std::count(names.begin(), names.end(), "model-00001-of-00002.safetensors"));
  EXPECT_TRUE(std::count(names.begin(), names.end(), "model-00002-of-00002.safetensors"));
  EXPECT_TRUE(std::count(names.begin(), names.end(), "model.safetensors.index.json"));
}

// Neither a weight nor a stack of experts is ever in memory as a whole.
TEST(Quantize, MemoryIsFarBelowALargeTensor) {
  if (kSanitized) GTEST_SKIP() << "skipped: a sanitizer's own memory is counted too";
  constexpr std::uint64_t kTensor = 96 << 20;
  const auto peak = [](const std::vector<std::string>& arguments) {
    return answer(arguments)["peak_rss_bytes"].get<std::uint64_t>();
  };
  const TemporaryFolder scratch;
  write_zeros(scratch / "one", "something", {"a.weight"}, {24 * 1024, 1024});
  std::vector<std::string> experts;
  for (int e = 0; e < 24; ++e) experts.push_back("model.layers.0.mlp.experts." + std::to_string(e) + ".up_proj.weight");
  write_zeros(scratch / "stack", "qwen3_moe", experts, {1024, 1024});
  for (const char* model : {"one", "stack"}) {
    EXPECT_LT(peak({"quantize", scratch / model, scratch / "out", "--force"}), kTensor / 2) << model;
    EXPECT_LT(peak({"convert", scratch / model, scratch / "out", "--dtype", "bf16", "--force"}), kTensor / 2) << model;
  }
}

TEST(Quantize, KeepsWhatAGlobNames) {
  const TemporaryFolder scratch;
  answer({"quantize", models() / "qwen2", scratch / "out", "--keep", "*.down_proj", "--keep", "lm_head*"});
  for (const auto& [name, format] : formats_of(scratch / "out")) {
    const bool kept = name.find("down_proj") != std::string::npos || name.starts_with("lm_head");
    const bool packed = name.find("up_proj") != std::string::npos || name.starts_with("model.embed_tokens");
    EXPECT_EQ(kept && format != "dense", false) << name;
    EXPECT_EQ(packed && format != "affine4-g64", false) << name;
  }
}

TEST(Quantize, AWidthThatNoGroupDividesStaysDense) {
  const TemporaryFolder scratch;
  // qwen3's hidden size is 64: groups of 128 do not divide its rows, but they do those of 128 columns.
  answer({"quantize", models() / "qwen3", scratch / "out", "--group-size", "128"});
  const auto formats = formats_of(scratch / "out");
  EXPECT_EQ(formats.at("model.layers.0.mlp.up_proj.weight"), "dense");
  EXPECT_EQ(formats.at("model.layers.0.mlp.down_proj.weight"), "affine4-g128");
  EXPECT_LT(max_difference(logits(scratch / "out"), logits(models() / "qwen3", {"--quantize", "affine4-g128"})), 1e-5);
}

// The rows of stories260K's down projections are 172 wide: no group divides that.
TEST(Quantize, InfoSaysWhatStayedDense) {
  const fs::path stories = shared_data() / "stories260K";
  if (!fs::exists(stories)) GTEST_SKIP() << "skipped: no ../shared/data";
  const TemporaryFolder scratch;
  answer({"quantize", stories, scratch / "out"});
  int dense = 0;
  for (const auto& [name, format] : formats_of(scratch / "out")) {
    const bool is_odd = name.ends_with("mlp.down_proj.weight"), is_norm = name.find("norm") != std::string::npos;
    EXPECT_EQ(format, is_odd || is_norm ? "dense" : "affine4-g64") << name;
    dense += is_odd;
  }
  EXPECT_EQ(dense, 5);
  EXPECT_LT(max_difference(logits(scratch / "out"), logits(stories, {"--quantize", "affine4-g64"})), 1e-4);
}

TEST(Quantize, ReadsGguf) {
  const TemporaryFolder scratch;
  answer({"quantize", goldens() / "tiny_llama.gguf", scratch / "out", "--bits", "8"});
  const auto formats = formats_of(scratch / "out");
  EXPECT_EQ(formats.at("model.embed_tokens.weight"), "affine8-g64");
  // The values are rounded to bf16 first: packing the plain folder of them gives the same.
  answer({"convert", goldens() / "tiny_llama.gguf", scratch / "plain", "--dequantize", "--dtype", "bf16"});
  answer({"quantize", scratch / "plain", scratch / "twice", "--bits", "8"});
  EXPECT_EQ(max_difference(logits(scratch / "out"), logits(scratch / "twice")), 0);
  EXPECT_LT(max_difference(logits(scratch / "out"), logits(scratch / "plain")), 1.5);
  const Json made = answer({"generate", scratch / "out", "--prompt", "Once", "--max-tokens", "4"});
  EXPECT_GT(made["prompt_tokens"].get<int>(), 0);  // the tokenizer came along
}

TEST(Quantize, AnExistingFolderIsRefusedUnlessForced) {
  const TemporaryFolder scratch;
  fs::create_directory(scratch / "out");
  write_file(scratch / "out/precious", "mine");
  expect_failure({"quantize", models() / "llama", scratch / "out"}, "io_error", "out");
  EXPECT_EQ(read_file(scratch / "out/precious"), "mine");
  expect_failure({"quantize", models() / "llama", scratch / "out", "--force"}, "io_error", "not a model's folder");
  EXPECT_EQ(read_file(scratch / "out/precious"), "mine");
  fs::remove(scratch / "out/precious");
  answer({"quantize", models() / "llama", scratch / "out", "--force"});
  answer({"quantize", models() / "llama", scratch / "out", "--force"});
  EXPECT_EQ(formats_of(scratch / "out").at("model.embed_tokens.weight"), "affine4-g64");
}

TEST(Quantize, ForceIsOfferedOnlyWhereItHelps) {
  const TemporaryFolder scratch;
  write_file(scratch / "file", "mine");
  fs::create_directory(scratch / "folder");
  write_file(scratch / "folder/precious", "mine");
  fs::copy(models() / "llama", scratch / "model");
  for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
    const auto refused = [&](const fs::path& out, const std::string& part) {
      std::vector<std::string> arguments{"quantize", scratch / "model", out};
      arguments.insert(arguments.end(), force.begin(), force.end());
      expect_failure(arguments, "io_error", part);
    };
    refused(scratch / "file", "is not a folder");
    refused(scratch / "folder", "not a model's folder");
    refused(scratch / "model", "itself: not replaced");  // the only copy, maybe
  }
  EXPECT_EQ(read_file(scratch / "model/model.safetensors"), read_file(models() / "llama/model.safetensors"));
}

/// tiny_qwen2.gguf with one text in place of another that is as long.
void write_changed_gguf(const fs::path& path, const std::string& text, const std::string& other) {
  std::string bytes = read_file(goldens() / "tiny_qwen2.gguf");
  const std::uint64_t length = text.size();  // stands before it
  const auto at = bytes.rfind(std::string(reinterpret_cast<const char*>(&length), 8) + text);
  ASSERT_NE(at, bytes.npos);
  write_file(path, bytes.replace(at + 8, other.size(), other));
}

TEST(Quantize, SaysWhatAFolderCannotHold) {
  const TemporaryFolder scratch;
  EXPECT_EQ(answer({"quantize", goldens() / "tiny_qwen2.gguf", scratch / "whole"})["warnings"], Json::array());
  const auto warning = [&](const std::string& part) {
    const Outcome done = nibble({"quantize", scratch / "m.gguf", scratch / "out", "--force"});
    EXPECT_EQ(done.status, 0);
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
    EXPECT_NE(done.err.find(part), std::string::npos) << done.err;
    const Json warnings = answer({"quantize", scratch / "m.gguf", scratch / "out", "--force"})["warnings"];
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_NE(done.err.find(warnings[0].get<std::string>()), std::string::npos);
  };
  write_changed_gguf(scratch / "m.gguf", "qwen2", "qwenX");
  warning("pre-tokenizer qwenX is not supported");
  write_changed_gguf(scratch / "m.gguf", "<|im_start|>",
                     "<|im_\xff\xfe"
                     "art|>");
  warning("not UTF-8: 1");
  EXPECT_EQ(answer({"info", scratch / "out"})["tokenizer"], answer({"info", scratch / "whole"})["tokenizer"]);
}

TEST(Quantize, ATokenizerThatWasCutOffIsRefused) {
  const TemporaryFolder scratch;
  fs::copy(models() / "qwen2", scratch / "model");
  fs::resize_file(scratch / "model/tokenizer.json", 1000);
  expect_failure({"quantize", scratch / "model", scratch / "out"}, "invalid_file", "tokenizer.json: is not JSON");
  EXPECT_FALSE(fs::exists(scratch / "out"));
}

TEST(Quantize, FailuresLeaveNothing) {
  const TemporaryFolder scratch;
  expect_failure({"quantize", models() / "llama", scratch / "out", "--bits", "7"}, "invalid_argument", "7");
  expect_failure({"quantize", models() / "llama", scratch / "out", "--group-size", "48"}, "invalid_argument", "48");
  expect_failure({"quantize", "/nowhere/model", scratch / "out"}, "io_error", "/nowhere/model");
  expect_failure({"quantize", models() / "llama", scratch / "nowhere/out"}, "io_error", "nowhere");
  EXPECT_FALSE(fs::exists(scratch / "out"));
  EXPECT_TRUE(names_in(scratch / "").empty());
}

TEST(Convert, DequantizesAPackedFolder) {
  const TemporaryFolder scratch;
  answer({"convert", models() / "qwen2_mlx", scratch / "out", "--dequantize", "--dtype", "f32"});
  for (const auto& [name, format] : formats_of(scratch / "out")) EXPECT_EQ(format, "dense") << name;
  EXPECT_FALSE(read_json(scratch / "out/config.json").contains("quantization"));
  EXPECT_LT(max_difference(logits(scratch / "out"), logits(models() / "qwen2_mlx")), 1e-4);
}

TEST(Convert, ScalesFollowTheDtypeThatIsAskedFor) {
  const TemporaryFolder scratch;
  const auto check = [&](const std::string& command, const std::string& dtype, const std::string& name) {
    answer({command, models() / "qwen2_mlx", scratch / "out", "--dtype", dtype, "--force"});
    const Json info = answer({"info", scratch / "out"});
    for (const Json& tensor : info["tensors"]) EXPECT_EQ(tensor["dtype"], dtype) << tensor["name"];
    EXPECT_EQ(read_json(scratch / "out/config.json")["torch_dtype"], name);
    EXPECT_LT(max_difference(logits(scratch / "out"), logits(models() / "qwen2_mlx")), 1e-4);
  };
  check("convert", "f16", "float16");
  check("convert", "f32", "float32");
  EXPECT_EQ(formats_of(scratch / "out"), formats_of(models() / "qwen2_mlx"));
}

TEST(Convert, DequantizesGgufToAPlainFolder) {
  const TemporaryFolder scratch;
  answer({"convert", goldens() / "tiny_llama.gguf", scratch / "f32", "--dequantize", "--dtype", "f32"});
  EXPECT_LT(max_difference(logits(scratch / "f32"), logits(goldens() / "tiny_llama.gguf")), 1e-4);
  answer({"convert", goldens() / "tiny_llama.gguf", scratch / "bf16", "--dequantize", "--dtype", "bf16"});
  const Json info = answer({"info", scratch / "bf16"});
  for (const Json& tensor : info["tensors"]) EXPECT_EQ(tensor["dtype"], "bf16") << tensor["name"];
  EXPECT_LT(max_difference(logits(scratch / "bf16"), logits(goldens() / "tiny_llama.gguf")), 1);
  // The words come along: the same text has the same ids.
  write_file(scratch / "text", "Once upon a time, 12 cats.");
  EXPECT_EQ(answer({"tokenize", scratch / "bf16", "--text", scratch / "text"}),
            answer({"tokenize", goldens() / "tiny_llama.gguf", "--text", scratch / "text"}));
}

// What one of them writes the other reads, to the same logits.
TEST(Convert, ToGgufAndBack) {
  const TemporaryFolder scratch;
  for (const char* model : {"llama", "qwen2", "qwen3", "qwen2_moe"}) {
    const fs::path folder = models() / model, gguf = scratch / "m.gguf", back = scratch / "back";
    nibble({"convert", folder, gguf, "--force"});  // warns where there is no tokenizer
    EXPECT_LT(max_difference(logits(folder), logits(gguf)), 1e-5) << model;
    nibble({"convert", gguf, back, "--to", "safetensors", "--force"});
    EXPECT_LT(max_difference(logits(folder), logits(back)), 1e-5) << model;
  }
  answer({"quantize", models() / "llama", scratch / "q.gguf", "--format", "q4_0"});
  EXPECT_EQ(formats_of(scratch / "q.gguf").at("model.layers.0.self_attn.q_proj.weight"), "q4_0");
  EXPECT_EQ(max_difference(logits(scratch / "q.gguf"), logits(models() / "llama", {"--quantize", "q4_0"})), 0);
}

TEST(Convert, WhatWouldBeRoundedIsRefused) {
  const TemporaryFolder scratch;
  expect_failure({"convert", models() / "qwen2_mlx", scratch / "m.gguf"}, "unsupported", "without a loss");
  answer({"quantize", models() / "llama", scratch / "q.gguf", "--format", "q5_0"});
  answer({"convert", scratch / "q.gguf", scratch / "mlx", "--to", "mlx"});
  EXPECT_EQ(formats_of(scratch / "mlx").at("model.embed_tokens.weight"), "affine5-g32");
  answer({"quantize", models() / "llama", scratch / "iq.gguf", "--format", "iq4_nl"});
  expect_failure({"convert", scratch / "iq.gguf", scratch / "out", "--to", "mlx"}, "unsupported", "iq4_nl");
  expect_failure({"convert", scratch / "iq.gguf", scratch / "out", "--to", "ply"}, "invalid_argument", "--to ply");
  expect_failure({"convert", scratch / "iq.gguf", scratch / "out", "--requantize", "q8_0"}, "invalid_argument",
                 "--requantize: is for what --to");
  EXPECT_FALSE(fs::exists(scratch / "out"));
  answer({"convert", scratch / "iq.gguf", scratch / "out", "--to", "mlx", "--requantize", "affine8-g64"});
  EXPECT_EQ(formats_of(scratch / "out").at("model.embed_tokens.weight"), "affine8-g64");
}

// config.json names it with a version, which only nibble reads.
TEST(Convert, FormatsThatMlxDoesNotKnowGoIntoSafetensorsAlone) {
  const TemporaryFolder scratch;
  answer({"quantize", models() / "llama", scratch / "nf4", "--format", "nf4"});
  for (const char* to : {"mlx", "gguf"})
    expect_failure({"convert", scratch / "nf4", scratch / "out", "--to", to}, "unsupported", "nf4");
  answer({"convert", scratch / "nf4", scratch / "out", "--to", "safetensors"});
  EXPECT_EQ(formats_of(scratch / "out"), formats_of(scratch / "nf4"));
  EXPECT_EQ(read_file(scratch / "out/model.safetensors"), read_file(scratch / "nf4/model.safetensors"));
}

TEST(Convert, MinifloatsGoFromMlxsLayoutIntoGgufsAndBack) {
  const TemporaryFolder scratch;
  for (const std::string name : {"mxfp4", "nvfp4"}) {
    SCOPED_TRACE(name);
    const fs::path folder = scratch / name, gguf = scratch / (name + ".gguf"), back = scratch / (name + "_back");
    answer({"quantize", models() / "llama", folder, "--format", name});
    answer({"convert", folder, gguf, "--to", "gguf"});
    EXPECT_EQ(formats_of(gguf).at("model.layers.0.mlp.up_proj.weight"), name + "_gguf");
    answer({"convert", gguf, back, "--to", "mlx"});
    EXPECT_EQ(formats_of(back), formats_of(folder));
    const Json compared = answer({"compare", folder, back});
    for (const Json& row : compared["tensors"]) {
      if (row["formats"][0] != name) continue;
      EXPECT_EQ(row["same_bytes"], true) << row;
    }
  }
}

TEST(Quantize, FormatsAreNamedAsTheyAreWritten) {
  const TemporaryFolder scratch;
  const char* up = "model.layers.0.mlp.up_proj.weight";
  answer({"quantize", models() / "llama", scratch / "q.gguf", "--format", "Q4_0"});
  EXPECT_EQ(formats_of(scratch / "q.gguf").at(up), "q4_0");
  answer({"quantize", models() / "llama", scratch / "m.gguf", "--format", "MXFP4"});
  EXPECT_EQ(formats_of(scratch / "m.gguf").at(up), "mxfp4_gguf");
  answer({"quantize", models() / "llama", scratch / "folder", "--format", "affine4_g32"});
  EXPECT_EQ(formats_of(scratch / "folder").at(up), "affine4-g32");
  expect_failure({"quantize", models() / "llama", scratch / "n.gguf", "--format", "nf4"}, "unsupported",
                 "n.gguf: nf4 cannot be stored in GGUF");
}

TEST(Quantize, SingleModulesGetWhatTheFileSays) {
  const TemporaryFolder scratch;
  write_file(scratch / "modules.json", R"({"*.mlp.*": "q8_0", "*.v_proj": false})");
  const auto quantize_to = [&](const std::string& out) {
    return std::vector<std::string>{"quantize", models() / "llama", scratch / out,           "--format",
                                    "q4_0",     "--per-module",     scratch / "modules.json"};
  };
  expect_failure(quantize_to("out"), "unsupported", "cannot be stored in a model folder, but in a .gguf file");
  answer(quantize_to("out.gguf"));
  const auto formats = formats_of(scratch / "out.gguf");
  EXPECT_EQ(formats.at("model.layers.0.self_attn.q_proj.weight"), "q4_0");
  EXPECT_EQ(formats.at("model.layers.0.mlp.up_proj.weight"), "q8_0");
  EXPECT_EQ(formats.at("model.layers.0.self_attn.v_proj.weight"), "dense");
}

TEST(Convert, AGgufIsWrittenInAStream) {
  if (kSanitized) GTEST_SKIP() << "skipped: a sanitizer's own memory is counted too";
  constexpr std::uint64_t kTensor = 96 << 20;
  const TemporaryFolder scratch;
  write_zeros(scratch / "model", "llama", {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"},
              {24 * 1024, 1024});
  write_file(scratch / "model/config.json", Json{{"model_type", "llama"},
                                                 {"hidden_size", 1024},
                                                 {"intermediate_size", 1024},
                                                 {"num_hidden_layers", 1},
                                                 {"num_attention_heads", 192},
                                                 {"head_dim", 128},
                                                 {"vocab_size", 24 * 1024},
                                                 {"tie_word_embeddings", true}}
                                                .dump());
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--dtype", "f16"}, {"--dtype", "f32"}}) {
    std::vector<std::string> arguments{"convert", scratch / "model", scratch / "m.gguf", "--force", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_LT(nibble(arguments).json()["peak_rss_bytes"].get<std::uint64_t>(), kTensor / 2);
  }
}

TEST(Convert, AnExistingFolderIsRefusedUnlessForced) {
  const TemporaryFolder scratch;
  fs::create_directory(scratch / "out");
  expect_failure({"convert", models() / "llama", scratch / "out", "--dequantize"}, "io_error", "out");
}

TEST(Convert, DividesAGgufFileAsOneAsks) {
  const TemporaryFolder scratch;
  const std::string model = goldens() / "tiny_llama.gguf", out = scratch / "m.gguf";
  const Json whole = answer({"convert", model, scratch / "whole.gguf"});
  EXPECT_EQ(whole["files"], 1);
  const Json divided = answer({"quantize", model, out, "--format", "q4_0", "--split-max-tensors", "8"});
  EXPECT_EQ(fs::path(divided["out"].get<std::string>()).filename().string().substr(0, 12), "m-00001-of-0");
  EXPECT_GT(divided["files"].get<int>(), 1);
  const Json text = answer({"generate", divided["out"], "--prompt", "a", "--max-tokens", "3", "--ignore-eos"});
  EXPECT_EQ(text["tokens"], 3);
  EXPECT_EQ(answer({"convert", model, scratch / "large.gguf", "--split-max-size", "2G"})["files"], 1);
  for (const char* size : {"2", "G", "0G", "-1G", "2K", "2G ", "99999999999G"})
    expect_failure({"convert", model, scratch / "no.gguf", "--split-max-size=" + std::string(size)}, "invalid_argument",
                   "a number of M or G");
  expect_failure({"convert", model, scratch / "folder", "--split-max-size", "2G"}, "invalid_argument",
                 "for .gguf files");
  EXPECT_FALSE(fs::exists(scratch / "no.gguf") || fs::exists(scratch / "folder"));
}

}  // namespace
}  // namespace nibble::testing
