// Every benchmark runs at a tiny size and prints what is promised. How fast it was is no test's business.
#include <cmath>
#include <set>

#include "nibble/device.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/cli/program.h"

namespace nibble::testing {
namespace {

/// The result of a benchmark that spends no more time than it must.
Json measured(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "bench");
  arguments.insert(arguments.end(), {"--seconds", "0"});
  return answer(arguments);
}

void expect_positive(const Json& object, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    ASSERT_TRUE(object.contains(key)) << key << " in " << object;
    const double value = object[key].get<double>();
    EXPECT_TRUE(std::isfinite(value) && value > 0) << key << ' ' << value;
  }
}

void expect_machine(const Json& result) {
  EXPECT_EQ(result["machine"]["isa"], cpu_unit());
  expect_positive(result["machine"], {"threads", "memory_bytes", "bandwidth_gb_per_s"});
}

/// Frobenius ratios that the precisions of packed products stay below on normal values.
double error_of(const std::string& precision) {
  return precision == "exact" ? 2e-6 : precision == "standard" ? 1e-4 : 2e-2;
}

TEST(Bench, LimitsGiveARateForEachThreadCount) {
  const Json result = measured({"limits", "--threads", "2"});
  std::vector<std::string> keys{"bandwidth_gb_per_s", "fp32_gflops", "bf16_gflops", "int16_gops", "int8_gops"};
  for (const std::string& key : keys) EXPECT_EQ(result.at(key).size(), 2u) << key;
  expect_positive(result["bandwidth_gb_per_s"], {"1", "2"});
  expect_positive(result["fp32_gflops"], {"1", "2"});
  EXPECT_EQ(result["isa"], cpu_unit());
  for (const std::string& unit : cpu_units()) {
    for (const std::string& key : keys) EXPECT_EQ(result["instruction_sets"][unit].at(key).size(), 2u) << unit << key;
  }
  EXPECT_EQ(result["fp32_gflops"], result["instruction_sets"][cpu_unit()]["fp32_gflops"]);
}

TEST(Bench, LimitsInBriefAreThoseOfAllThreads) {
  const Json result = measured({"limits", "--brief", "--threads", "2"});
  EXPECT_EQ(result["bandwidth_gb_per_s"].size(), 1u);
  expect_positive(result["bandwidth_gb_per_s"], {"2"});
  expect_positive(result["fp32_gflops"], {"2"});
  EXPECT_EQ(result["instruction_sets"].size(), 1u);
}

void expect_products(const Json& result) {
  expect_machine(result);
  for (const Json& row : result["results"]) {
    const std::string format = row["format"], precision = row["precision"];
    expect_positive(row, {"n", "k", "rows", "threads", "time_us", "weight_bytes", "gb_per_s", "bandwidth_share", "gops",
                          "peak_share"});
    EXPECT_EQ(row["isa"], cpu_unit());
    EXPECT_FALSE(row["peak"].get<std::string>().empty());
    EXPECT_FALSE(row.contains("peer"));
    EXPECT_LE(row["time_us_quartiles"][0], row["time_us_quartiles"][1]);
    const bool rounded = format == "f16" || format == "bf16";  // so is the result of a product with activations like it
    const double error = row["rel_error"];
    EXPECT_TRUE(error >= 0 && error <= (rounded ? 1e-2 : error_of(precision))) << format << precision << ' ' << error;
  }
}

TEST(Bench, MatmulTakesEveryFormat) {
  const Json result = measured({"matmul", "--format", "all", "--rows", "3", "--n", "48", "--k", "128"});
  expect_products(result);
  std::set<std::string> seen;
  for (const Json& row : result["results"]) seen.insert(row["format"]);
  EXPECT_EQ(result["results"].size(), seen.size());
  for (const Json& left_out : result["skipped"]) seen.insert(left_out["format"]);
  for (const char* dense : {"f32", "f16", "bf16"}) EXPECT_TRUE(seen.contains(dense)) << dense;
  for (const FormatInfo& info : formats()) EXPECT_TRUE(seen.contains(info.name)) << info.name;
}

TEST(Bench, MatmulAtEachPrecision) {
  const Json result = measured({"matmul", "--format", "affine4-g64,q8_0", "--rows", "1,5", "--n", "48", "--k", "128",
                                "--precision", "exact,standard,fast", "--threads", "1"});
  expect_products(result);
  EXPECT_EQ(result["results"].size(), 2u * 3 * 2);
}

TEST(Bench, MatmulAlongAndAcrossThePackedAxis) {
  const Json result = measured({"matmul", "--format", "affine4-g64,f32", "--rows", "1,5", "--n", "48", "--k", "128",
                                "--orientation", "along,across", "--precision", "exact"});
  expect_products(result);
  std::set<std::string> seen;
  for (const Json& row : result["results"]) seen.insert(row["orientation"]);
  EXPECT_EQ(result["results"].size(), 2u * 2 * 2);
  EXPECT_EQ(seen, (std::set<std::string>{"along", "across"}));
}

TEST(Bench, AttentionOverEachCache) {
  const Json result = measured({"attention", "--keys", "70", "--heads", "4", "--kv-heads", "2", "--head-dim", "32",
                                "--queries", "1,5", "--kv-dtype", "f16,bf16,f32", "--precision", "exact"});
  expect_machine(result);
  EXPECT_EQ(result["results"].size(), 6u);
  for (const Json& row : result["results"]) {
    expect_positive(row, {"queries", "keys", "time_us", "gb_per_s", "bandwidth_share", "gops", "peak_share"});
    EXPECT_LT(row["rel_error"].get<double>(), 1e-5) << row;
  }
}

TEST(Bench, ExpertsAtEachNumberOfTokens) {
  const Json result = measured({"experts", "--experts", "6", "--used", "2", "--n", "40", "--k", "128", "--tokens",
                                "1,9", "--precision", "standard,fast"});
  expect_machine(result);
  EXPECT_EQ(result["results"].size(), 4u);
  for (const Json& row : result["results"]) {
    expect_positive(row, {"tokens", "time_us", "gb_per_s", "bandwidth_share", "gops", "peak_share"});
    EXPECT_LT(row["rel_error"].get<double>(), error_of(row["precision"]));
  }
}

void expect_rates_of_a_model(const Json& result) {
  expect_machine(result);
  ASSERT_EQ(result["results"].size(), 4u);
  for (const Json& row : result["results"]) {
    expect_positive(row, {"prompt_length", "gen_length", "prefill_tokens_per_s", "decode_tokens_per_s", "weight_bytes",
                          "bytes_per_token", "bandwidth_share", "peak_share"});
  }
}

TEST(Bench, ModelsFromAFileAndOfAShape) {
  const std::vector<std::string> lengths{"--prompt-lengths", "1,5", "--gen-lengths", "2,3"};
  const auto with_lengths = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), lengths.begin(), lengths.end());
    return measured(arguments);
  };
  const Json stored = with_lengths({"model", models() / "qwen2"});
  expect_rates_of_a_model(stored);
  EXPECT_EQ(stored["results"][0]["format"], "bf16");
  const Json gguf = with_lengths({"model", goldens() / "tiny_llama.gguf"});
  expect_rates_of_a_model(gguf);
  const Json packed = with_lengths({"model", models() / "qwen2", "--format", "affine4-g32"});
  EXPECT_EQ(packed["results"][0]["format"], "affine4-g32");
  EXPECT_LT(packed["results"][0]["weight_bytes"], stored["results"][0]["weight_bytes"]);
  expect_rates_of_a_model(with_lengths({"model", "--shape", "smollm2-135m", "--format", "affine4-g64"}));
}

TEST(Bench, OpeningIsComparedWithReading) {
  const TemporaryFolder folder;  // of a megabyte and more, which reading needs
  Json config = read_json(models() / "llama" / "config.json");
  config["vocab_size"] = 16384;
  write_file(folder / "config.json", config.dump());
  TensorMap tensors = load(models() / "llama");
  tensors["model.embed_tokens.weight"] = cast(random_normal({16384, 64}, 1), DType::bf16);
  save_safetensors(folder / "model.safetensors", tensors);
  const Json result = measured({"open", folder / "", "--precision", "exact,fast"});
  EXPECT_EQ(result["results"].size(), 2u);
  for (const Json& row : result["results"]) {
    expect_positive(row, {"file_bytes", "read_seconds", "first_token_seconds", "ratio", "threads"});
  }
}

TEST(Bench, DevicesAreMeasuredWithTheCpusKeys) {
  const std::string device = "vulkan:0";
  if (devices().size() < 2) GTEST_SKIP() << "skipped: there is no device";
  const Json limits = measured({"limits", "--device", device});
  expect_positive(limits, {"bandwidth_gb_per_s", "copy_gb_per_s", "fp32_gflops"});
  EXPECT_TRUE(limits.at("int16_gops").is_null());
  EXPECT_TRUE(limits.contains("f16_gflops"));
  const Json result = measured({"matmul", "--device", device, "--n", "32", "--k", "64", "--rows", "1,3"});
  ASSERT_EQ(result["results"].size(), 2u);
  for (const Json& row : result["results"]) {
    EXPECT_EQ(row["device"], device);
    expect_positive(row, {"time_us", "gb_per_s", "bandwidth_share", "gops", "peak_share"});
    EXPECT_LT(row["rel_error"].get<double>(), 1e-6);
  }
}

TEST(Bench, PeopleGetATable) {
  const Outcome done = nibble({"bench", "matmul", "--n", "32", "--k", "64", "--rows", "1,2", "--seconds", "0"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("affine4-g64"), std::string::npos) << done.out;
  EXPECT_EQ(std::count(done.out.begin(), done.out.end(), '\n'), 5) << done.out;
}

TEST(Bench, OptionsThatAreNotUnderstood) {
  expect_failure({"bench"}, "invalid_argument", "limits");
  expect_failure({"bench", "nonsense"}, "invalid_argument", "matmul");
  expect_failure({"bench", "limits", "--isa", "mmx"}, "invalid_argument", "--isa mmx");
  expect_failure({"bench", "limits", "--threads", "-1"}, "invalid_argument", "--threads");
  expect_failure({"bench", "matmul", "--format", "affine9-g7"}, "invalid_argument", "affine9-g7");
  expect_failure({"bench", "matmul", "--format", "affine4-g64", "--k", "96"}, "shape_mismatch", "96");
  expect_failure({"bench", "matmul", "--precision", "perfect"}, "invalid_argument", "perfect");
  expect_failure({"bench", "matmul", "--rows", "1,0"}, "invalid_argument", "--rows");
  expect_failure({"bench", "matmul", "--rows", "some"}, "invalid_argument", "some");
  expect_failure({"bench", "matmul", "--rows", ""}, "invalid_argument", "--rows: no number given");
  expect_failure({"bench", "matmul", "--format", "nosuch"}, "invalid_argument", "there are f32, f16, bf16, affine2");
  expect_failure({"bench", "matmul", "--orientation", "sideways"}, "invalid_argument", "along or across");
  expect_failure({"bench", "matmul", "--threads", "2000"}, "invalid_argument", "--threads 2000: at most");
  expect_failure({"bench", "attention", "--heads", "3", "--kv-heads", "2"}, "invalid_argument", "--kv-heads");
  expect_failure({"bench", "attention", "--kv-dtype", "i8"}, "invalid_argument", "i8");
  expect_failure({"bench", "experts", "--experts", "4", "--used", "5"}, "invalid_argument", "--used");
  expect_failure({"bench", "model"}, "invalid_argument", "--shape");
  expect_failure({"bench", "model", "--shape", "gpt-5"}, "invalid_argument", "qwen3-8b");
  expect_failure({"bench", "model", "/nowhere/model"}, "io_error", "/nowhere/model");
}

TEST(Bench, SizesThatNoMachineHoldsAreRefusedAtOnce) {
  const std::string many = "100000000000", most = "9223372036854775807";
  for (const char* option : {"--n", "--k", "--rows"})
    expect_failure({"bench", "matmul", option, most}, "out_of_memory", most);
  for (const char* option : {"--tokens", "--experts"}) {
    expect_failure({"bench", "experts", option, many}, "out_of_memory", many);
  }
  for (const char* option : {"--queries", "--keys"}) {
    expect_failure({"bench", "attention", option, many}, "out_of_memory", many);
  }
  expect_failure({"bench", "quantize", "--n", many}, "out_of_memory", many);
  expect_failure({"bench", "model", models() / "qwen2", "--prompt-lengths", many}, "out_of_memory", "KV cache");
}

}  // namespace
}  // namespace nibble::testing
