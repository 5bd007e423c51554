// What each command prints, with and without --json.
#include <cmath>
#include <regex>
#include <set>

#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/cli/program.h"

namespace nibble::testing {
namespace {

std::set<std::string> keys_of(const Json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

void expect_keys(const Json& object, const std::set<std::string>& wanted) {
  for (const std::string& key : wanted) EXPECT_TRUE(object.contains(key)) << key;
}

TEST(Program, SaysWhichReleaseItIs) {
  const Outcome said = nibble({"--version"});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_TRUE(std::regex_match(said.out, std::regex(R"(nibble \d+\.\d+\.\d+\n)"))) << said.out;
}

TEST(Devices, ListsTheCpuFirst) {
  const Json result = answer({"devices"});
  ASSERT_FALSE(result.at("devices").empty());
  EXPECT_EQ(result["devices"][0]["device"], "cpu");
  EXPECT_GT(result["devices"][0]["memory_bytes"].get<std::uint64_t>(), 0u);
  EXPECT_NE(nibble({"devices"}).out.find("cpu"), std::string::npos);
}

TEST(Formats, ThePageIsTheTable) {
  EXPECT_EQ(read_file(source_dir() / "quant_tensor/formats/README.md"), nibble({"formats"}).out)
      << "nibble formats > quant_tensor/formats/README.md";
  EXPECT_EQ(answer({"formats"}).at("formats").size(), formats().size());
}

TEST(Info, TotalsAreTheSumsOfTheTensors) {
  const Json result = answer({"info", models() / "qwen2_mlx"});
  expect_keys(result,
              {"architecture", "parameters", "dense_bytes", "tensors", "weight_bytes", "bits_per_weight", "tokenizer"});
  EXPECT_EQ(result["architecture"], "qwen2");
  std::int64_t parameters = 0, bytes = 0;
  std::set<std::string> formats;
  for (const Json& tensor : result["tensors"]) {
    EXPECT_EQ(keys_of(tensor), (std::set<std::string>{"name", "shape", "dtype", "format", "bytes"}));
    std::int64_t count = 1;
    for (const Json& size : tensor["shape"]) count *= size.get<std::int64_t>();
    parameters += count;
    bytes += tensor["bytes"].get<std::int64_t>();
    formats.insert(tensor["format"]);
    if (tensor["name"] == "model.embed_tokens.weight") {
      EXPECT_EQ(tensor["shape"], Json({320, 64}));
      EXPECT_EQ(tensor["format"], "affine8-g32");
      EXPECT_EQ(tensor["dtype"], "bf16");
      EXPECT_EQ(tensor["bytes"], 320 * 64 + 2 * 2 * 320 * 2);
    }
  }
  EXPECT_EQ(result["parameters"], parameters);
  EXPECT_EQ(result["weight_bytes"], bytes);
  EXPECT_EQ(result["dense_bytes"], 2 * parameters);
  EXPECT_DOUBLE_EQ(result["bits_per_weight"].get<double>(),
                   8.0 * static_cast<double>(bytes) / static_cast<double>(parameters));
  EXPECT_EQ(formats, (std::set<std::string>{"dense", "affine8-g32", "affine2-g32", "affine3-g32", "affine5-g128",
                                            "affine6-g64", "affine4-g64"}));
  EXPECT_NE(nibble({"info", models() / "qwen2_mlx"}).out.find("affine4-g64"), std::string::npos);
}

TEST(Info, ReadsGgufAndFoldersOfShards) {
  EXPECT_EQ(answer({"info", goldens() / "tiny_llama.gguf"})["architecture"], "llama");
  // Six experts in two layers; whether they stand one by one or stacked, all count.
  const Json experts = answer({"info", models() / "qwen2_moe"});
  const int attention = 64 * 64 + 64 + 2 * (32 * 64 + 32) + 64 * 64;
  const int mixture = 6 * 64 + 6 * 3 * 32 * 64 + 3 * 64 * 64 + 64;
  EXPECT_EQ(experts["parameters"], 2 * 128 * 64 + 2 * (attention + mixture + 2 * 64) + 64);
  EXPECT_EQ(answer({"info", models() / "qwen3_moe"})["parameters"],
            answer({"info", models() / "qwen3_moe_mlx"})["parameters"]);
  const Json sharded = answer({"info", models() / "qwen3"});
  const Json whole = answer({"info", models() / "qwen2"});
  EXPECT_GT(sharded["tensors"].size(), whole["tensors"].size() - 3 * 2);  // no biases, but head norms
  EXPECT_EQ(sharded["bits_per_weight"], 16);
}

TEST(Compare, TellsHowFarPackedTensorsAre) {
  const TemporaryFolder scratch;
  answer({"quantize", models() / "qwen2", scratch / "out", "--format", "mxfp8"});
  const Json result = answer({"compare", models() / "qwen2", scratch / "out"});
  EXPECT_TRUE(result.at("not_compared").empty());
  bool packed = false;
  for (const Json& row : result.at("tensors")) {
    expect_keys(row, {"name", "shape", "formats", "max_error", "mse", "relative_rmse", "cosine"});
    if (row["formats"][1] == "mxfp8") {
      packed = true;
      EXPECT_FALSE(row.contains("same_bytes"));
      EXPECT_GT(row["relative_rmse"].get<double>(), 0.001);
      EXPECT_LT(row["relative_rmse"].get<double>(), 0.05);
      EXPECT_GT(row["cosine"].get<double>(), 0.998);
    } else {
      EXPECT_EQ(row["same_bytes"], true) << row;
      EXPECT_EQ(row["max_error"], 0) << row;
      EXPECT_EQ(row["cosine"], 1) << row;
    }
  }
  EXPECT_TRUE(packed);
  EXPECT_NE(nibble({"compare", models() / "qwen2", scratch / "out"}).out.find("bf16 mxfp8"), std::string::npos);
}

TEST(Compare, TellsWhereBytesDifferAndWhatStandsAlone) {
  const TemporaryFolder scratch;
  const fs::path a = scratch / "a.safetensors", b = scratch / "b.safetensors";
  const Tensor w = random_normal({4, 64}, 1);
  const Tensor packed = quantize(w, {.format = "mxfp4"});
  Components components = packing_of(packed).components;
  components[1].second = add(components[1].second, tensor<std::uint8_t>({0, 1}, {2}));
  const Tensor other = from_components("mxfp4", components, {4, 64});
  save_safetensors(a, {{"w.weight", packed}, {"x", zeros({2})}, {"y", zeros({3})}});
  save_safetensors(b, {{"w.weight", other}, {"x", zeros({3})}, {"z", zeros({3})}});
  const Json result = answer({"compare", a, b});
  ASSERT_EQ(result.at("tensors").size(), 1u);
  const Json& row = result["tensors"][0];
  EXPECT_EQ(row["same_bytes"], false);
  EXPECT_EQ(row["first_difference"], Json::parse(R"({"part": "scales", "byte": 1})"));
  EXPECT_GT(row["relative_rmse"].get<double>(), 0.1);
  EXPECT_EQ(result.at("not_compared").size(), 3u);
  expect_failure({"compare", a, scratch / "c.safetensors"}, "io_error", "c.safetensors");
}

TEST(Tokenize, GivesTheIdsOfTheTokenizersCases) {
  const TemporaryFolder scratch;
  for (const char* name : {"llama", "mistral", "qwen2", "qwen3"}) {
    const Json cases = read_json(models() / name / "tokenizer_cases.json");
    const Json& one = cases["cases"][0];
    write_file(scratch / "text", one["text"].get<std::string>());
    Json wanted = one["ids"];
    EXPECT_EQ(answer({"tokenize", models() / name, "--text", scratch / "text", "--no-bos"})["tokens"], wanted) << name;
    if (!cases["bos_id"].is_null()) wanted.insert(wanted.begin(), cases["bos_id"]);
    EXPECT_EQ(answer({"tokenize", models() / name, "--text", scratch / "text"})["tokens"], wanted) << name;
  }
}

class LogitsOf : public ::testing::TestWithParam<const char*> {};

TEST_P(LogitsOf, EqualTheReference) {
  const fs::path folder = models() / GetParam();
  const TensorMap reference = load_safetensors(folder / "reference.safetensors").tensors;
  std::string tokens;
  for (const std::int64_t id : select(reference.at("tokens"), 0, 1).to_vector<std::int64_t>()) {
    tokens += (tokens.empty() ? "" : ",") + std::to_string(id);
  }
  const TemporaryFolder scratch;
  const Json result =
      answer({"logits", folder, "--tokens", tokens, "--out", scratch / "logits.npy", "--precision", "exact"});
  const Npy got = read_npy(scratch / "logits.npy");
  const Tensor wanted = select(reference.at("logits"), 0, 1);
  EXPECT_EQ(result["shape"], Json({24, wanted.size(1)}));
  EXPECT_EQ(got.rows, 24);
  EXPECT_EQ(got.columns, wanted.size(1));
  EXPECT_LT(max_difference(got, {24, wanted.size(1), wanted.to_vector<float>()}), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(TinyModels, LogitsOf, ::testing::Values("llama", "llama_bias", "mistral", "qwen2", "qwen3"));

TEST(Logits, AdaptersAndPackingChangeThem) {
  const TemporaryFolder scratch;
  const auto logits = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"logits", models() / "llama", "--tokens", "3,4,5", "--out", scratch / "l.npy"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    answer(arguments);
    return read_npy(scratch / "l.npy");
  };
  const fs::path plain = models() / "lora" / "plain", rslora = models() / "lora" / "rslora";
  const Npy base = logits({}), adapted = logits({"--lora", plain});
  EXPECT_GT(max_difference(base, adapted), 0.01);
  EXPECT_EQ(max_difference(base, logits({"--lora", plain.string() + ":0"})), 0);
  EXPECT_LT(max_difference(adapted, logits({"--lora", plain.string() + ":0.5", "--lora", plain.string() + ":0.5"})),
            1e-4);
  EXPECT_GT(max_difference(adapted, logits({"--lora", plain, "--lora", rslora})), 0.01);
  const Npy packed = logits({"--quantize", "affine4-g64"}), wide = logits({"--quantize", "affine8-g32"});
  EXPECT_GT(max_difference(base, packed), 0.05);
  EXPECT_GT(max_difference(base, wide), 1e-4);
  EXPECT_LT(max_difference(base, wide), 0.5 * max_difference(base, packed));
}

TEST(Perplexity, EachFileIsScoredAlone) {
  const TemporaryFolder scratch;
  write_file(scratch / "a", "Once upon a time there was a cat.");
  write_file(scratch / "b", "The end of it all, and more than that.");
  const auto score = [&](std::vector<std::string> files) {
    std::vector<std::string> arguments{"perplexity", models() / "qwen2"};
    for (const std::string& file : files) arguments.insert(arguments.end(), {"--text", scratch / file});
    return answer(arguments);
  };
  const Json a = score({"a"}), b = score({"b"}), both = score({"a", "b"});
  expect_keys(both, {"perplexity", "mean_nll", "tokens"});
  EXPECT_EQ(both["tokens"], a["tokens"].get<int>() + b["tokens"].get<int>());
  const Json ids = answer({"tokenize", models() / "qwen2", "--text", scratch / "a"})["tokens"];
  EXPECT_EQ(a["tokens"], ids.size() - 1);
  const double sum =
      a["mean_nll"].get<double>() * a["tokens"].get<double>() + b["mean_nll"].get<double>() * b["tokens"].get<double>();
  EXPECT_NEAR(both["mean_nll"].get<double>(), sum / both["tokens"].get<double>(), 1e-9);
  EXPECT_NEAR(both["perplexity"].get<double>(), std::exp(both["mean_nll"].get<double>()), 1e-9);
}

TEST(Perplexity, OptionsMayStandBeforeTheModel) {
  const TemporaryFolder scratch;
  write_file(scratch / "a", "Once upon a time there was a cat.");
  const std::string text = scratch / "a", model = models() / "qwen2";
  EXPECT_EQ(answer({"perplexity", "--text", text, "--text", text, model})["tokens"].get<int>(),
            2 * answer({"perplexity", model, "--text", text})["tokens"].get<int>());
}

TEST(Perplexity, AgainstAnotherModel) {
  const TemporaryFolder scratch;
  write_file(scratch / "a", "Once upon a time there was a cat.");
  const std::string text = scratch / "a", model = models() / "qwen2";
  const Json itself = answer({"perplexity", model, "--text", text, "--against", model});
  EXPECT_NEAR(itself["mean_kl"].get<double>(), 0, 1e-9);
  EXPECT_EQ(itself["top1_agreement"], 1);
  const Json packed = answer({"perplexity", models() / "qwen2_mlx", "--text", text, "--against", model});
  EXPECT_GT(packed["mean_kl"].get<double>(), 0.001);
  EXPECT_LE(packed["top1_agreement"].get<double>(), 1);
  EXPECT_FALSE(answer({"perplexity", model, "--text", text}).contains("mean_kl"));
}

TEST(Generate, HasTheContractsKeys) {
  const Json result =
      answer({"generate", models() / "llama", "--prompt", "Once upon a time", "--max-tokens", "12", "--ignore-eos"});
  expect_keys(result, {"text", "tokens", "prompt_tokens", "prefill_tokens_per_s", "decode_tokens_per_s", "weight_bytes",
                       "peak_rss_bytes", "dequantized_bytes"});
  EXPECT_EQ(result["tokens"], 12);
  EXPECT_GT(result["prompt_tokens"].get<int>(), 1);
  EXPECT_GT(result["weight_bytes"].get<int>(), 2 * 64 * 384);
  EXPECT_GT(result["peak_rss_bytes"].get<std::int64_t>(), 1 << 20);
}

TEST(Generate, StreamsTheTextThatJsonHolds) {
  const std::vector<std::string> arguments{"generate",    models() / "qwen2", "--prompt", "Hello",  "--max-tokens",
                                           "20",          "--temperature",    "1.5",      "--seed", "7",
                                           "--ignore-eos"};
  const Outcome streamed = nibble(arguments);
  EXPECT_EQ(streamed.status, 0);
  EXPECT_EQ(streamed.err, "") << "a progress bar went into a pipe";
  const Json result = answer(arguments);
  EXPECT_EQ(streamed.out, result["text"].get<std::string>() + "\n");
}

TEST(Generate, ASeedRepeatsAndTemperatureZeroIsGreedy) {
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"generate", models() / "qwen2", "--prompt", "Hello", "--max-tokens",
                                       "16",       "--ignore-eos"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return answer(arguments)["token_ids"];
  };
  const Json first = run({"--temperature", "2", "--seed", "1"});
  EXPECT_EQ(first, run({"--temperature", "2", "--seed", "1"}));
  EXPECT_NE(first, run({"--temperature", "2", "--seed", "2"}));
  const Json greedy = run({"--temperature", "0", "--repetition-penalty", "1"});
  EXPECT_EQ(greedy, run({"--temperature", "0", "--repetition-penalty", "1", "--seed", "9"}));
  EXPECT_EQ(greedy, run({"--temperature", "3", "--top-k", "1", "--repetition-penalty", "1"}));
  // generation_config.json asks for sampling: without a word on the command line the seed matters.
  EXPECT_NE(run({"--seed", "1"}), run({"--seed", "2"}));
}

TEST(Generate, StopsWhereTheContextIsFull) {
  const auto run = [&](const char* context) {
    return answer({"generate", models() / "llama", "--prompt", "Once", "--max-tokens", "50", "--ignore-eos",
                   "--context", context});
  };
  const Json small = run("10");
  EXPECT_EQ(small["tokens"].get<int>() + small["prompt_tokens"].get<int>(), 10);
  expect_failure({"generate", models() / "llama", "--prompt", "Once upon a time there was", "--context", "3"},
                 "out_of_range", "context");
}

TEST(Chat, AnswersEachLineInTheModelsTemplate) {
  for (const char* model : {"llama", "mistral", "qwen2", "qwen3"}) {
    const std::vector<std::string> options{"--max-tokens", "10", "--temperature", "0", "--repetition-penalty", "1"};
    std::vector<std::string> chat{"chat", models() / model},
        once{"generate", models() / model, "--prompt", "Hello there", "--chat"};
    chat.insert(chat.end(), options.begin(), options.end());
    once.insert(once.end(), options.begin(), options.end());
    const Json turns = answer(chat, "Hello there\n\nAnd now?\n")["turns"];
    ASSERT_EQ(turns.size(), 2u) << model;
    EXPECT_EQ(turns[0]["user"], "Hello there");
    EXPECT_EQ(turns[0]["assistant"], answer(once)["text"]) << model;
    EXPECT_EQ(turns[1]["user"], "And now?");
    const Outcome spoken = nibble(chat, "Hello there\n");
    EXPECT_EQ(spoken.out, turns[0]["assistant"].get<std::string>() + "\n");
  }
}

TEST(Generate, ThreadsChangeNothing) {
  const auto run = [&](const char* threads) {
    return answer({"generate", models() / "llama", "--prompt", "Once", "--max-tokens", "8", "--threads", threads,
                   "--ignore-eos"})["token_ids"];
  };
  EXPECT_EQ(run("1"), run("2"));
}

}  // namespace
}  // namespace nibble::testing
