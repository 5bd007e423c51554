// What goes wrong is one line or one object, exit status 1, and nothing is written.
#include <sys/stat.h>

#include "tests/cli/program.h"

namespace nibble::testing {
namespace {

TEST(Failures, OptionsThatAreNotUnderstood) {
  const std::string model = models() / "llama";
  expect_failure({}, "invalid_argument", "no command given; there are devices");
  expect_failure({"nonsense"}, "invalid_argument", "nonsense");
  expect_failure({"info"}, "invalid_argument", "MODEL");
  expect_failure({"info", model, "--nonsense"}, "invalid_argument", "--nonsense");
  expect_failure({"generate", model, "--prompt", "a", "--precision", "perfect"}, "invalid_argument", "perfect");
  expect_failure({"generate", model, "--prompt", "a", "--dtype", "i32"}, "invalid_argument", "i32");
  expect_failure({"generate", model, "--prompt", "a", "--kv-dtype", "q9_9"}, "invalid_argument", "q9_9");
  expect_failure({"generate", model, "--prompt", "a", "--threads", "-1"}, "invalid_argument", "--threads");
  expect_failure({"generate", model, "--prompt", "a", "--threads", "0"}, "invalid_argument", "--threads 0: at least 1");
  expect_failure({"bench", "matmul", "--threads", "0"}, "invalid_argument", "--threads 0: at least 1");
  expect_failure({"generate", model, "--prompt", "a", "--seed", "-1"}, "invalid_argument", "--seed -1: at least 0");
  expect_failure({"generate", model, "--prompt", "a", "--seed", "99999999999999999999"}, "invalid_argument", "--seed");
  expect_failure({"chat", model, "--context", "-5"}, "invalid_argument", "--context -5: at least 1");
  expect_failure({"chat", model, "--top-p", "3"}, "invalid_argument", "top-p");  // before the first message
  expect_failure({"generate", model, "--prompt", "a", "--kv-dtype", "q8_0"}, "shape_mismatch",
                 "[kv_cache] heads of 16 stored as q8_0");
  expect_failure({"quantize", model, "/nowhere/out", "--bits", "7"}, "invalid_argument", "--bits 7");
  expect_failure({"quantize", model, "/nowhere/out", "--group-size", "48"}, "invalid_argument", "--group-size 48");
  expect_failure({"quantize", model, ""}, "invalid_argument", "OUT");
  expect_failure({"logits", model, "--tokens", "1", "--out", ""}, "invalid_argument", "--out");
  expect_failure({"generate", model, "--prompt", "a", "--max-tokens", "0"}, "invalid_argument", "--max-tokens");
  expect_failure({"generate", model, "--prompt", "a", "--top-p", "2"}, "invalid_argument", "top-p");
  expect_failure({"generate", model, "--prompt", "a", "--device", "toaster"}, "invalid_argument",
                 "--device toaster: no such device here; found cpu");
  expect_failure({"generate", model, "--prompt", "a", "--quantize", "affine9-g7"}, "invalid_argument", "affine9-g7");
  expect_failure({"chat", model, "--max-tokens", "0"}, "invalid_argument", "--max-tokens");
  expect_failure({"generate", model, "--prompt", "a", "--lora", (models() / "lora/plain").string() + ":nan"},
                 "invalid_argument", "finite");
}

TEST(Failures, AnInstructionSetThatIsNotThereSaysWhatIs) {
  setenv("NIBBLE_ISA", "bogus", 1);
  expect_failure({"devices"}, "invalid_argument", "NIBBLE_ISA=bogus");
  expect_failure({"generate", models() / "llama", "--prompt", "a"}, "invalid_argument", "scalar");
  unsetenv("NIBBLE_ISA");
}

// A model that nibble cannot run is still listed, packed and written; only what must run it refuses it.
TEST(Failures, AnUnknownArchitectureIsRefusedOnlyWhereItMustRun) {
  const TemporaryFolder scratch;
  fs::copy(models() / "llama", scratch / "model", fs::copy_options::recursive);
  Json config = read_json(scratch / "model/config.json");
  config["model_type"] = "frobnicator";
  write_file(scratch / "model/config.json", config.dump());
  write_file(scratch / "text", "Hello there");
  const std::string model = scratch / "model", text = scratch / "text";
  EXPECT_EQ(answer({"info", model})["architecture"], "frobnicator");
  answer({"quantize", model, scratch / "packed"});
  EXPECT_EQ(answer({"info", scratch / "packed"})["tensors"][0]["format"], "affine4-g64");
  answer({"convert", scratch / "packed", scratch / "dense", "--dequantize"});
  EXPECT_FALSE(answer({"tokenize", model, "--text", text})["tokens"].empty());
  expect_failure({"generate", model, "--prompt", "a"}, "unsupported", "frobnicator");
  expect_failure({"chat", model}, "unsupported", "frobnicator");
  expect_failure({"perplexity", model, "--text", text}, "unsupported", "frobnicator");
  expect_failure({"logits", model, "--tokens", "1", "--out", scratch / "l.npy"}, "unsupported", "frobnicator");
}

TEST(Failures, ADeviceThatIsNotThereSaysWhatIs) {
  expect_failure({"generate", models() / "llama", "--prompt", "a", "--device", "vulkan:200"}, "unsupported",
                 "found cpu");
}

TEST(Failures, FilesThatAreNotThere) {
  expect_failure({"info", "/nowhere/model"}, "io_error", "/nowhere/model");
  expect_failure({"tokenize", models() / "llama", "--text", "/nowhere/text"}, "io_error", "/nowhere/text");
  expect_failure({"perplexity", models() / "llama", "--text", models()}, "io_error", "is a folder");
  expect_failure({"logits", models() / "llama", "--tokens", "1", "--out", "/dev/null/x", "--lora", "/nowhere/adapter"},
                 "invalid_file", "/nowhere/adapter");
}

TEST(Failures, FilesThatAreNotWhatTheySay) {
  const TemporaryFolder scratch;
  write_file(scratch / "model.gguf", "this is no model");
  expect_failure({"info", scratch / "model.gguf"}, "invalid_file", "model.gguf");
  EXPECT_EQ(answer({"info", goldens() / "unsupported_q8_1.gguf"})["tensors"][0]["format"],
            "q8_1");  // listing needs no decoder
  expect_failure({"quantize", goldens() / "unsupported_q8_1.gguf", scratch / "out"}, "unsupported", "Q8_1");
  EXPECT_FALSE(fs::exists(scratch / "out"));
  expect_failure(
      {"logits", models() / "llama", "--tokens", "1", "--out", scratch / "l.npy", "--lora", models() / "lora" / "dora"},
      "unsupported", "dora");
  EXPECT_FALSE(fs::exists(scratch / "l.npy"));
}

TEST(Failures, TokensOutsideTheVocabulary) {
  const TemporaryFolder scratch;
  expect_failure({"logits", models() / "llama", "--tokens", "1,384", "--out", scratch / "l.npy"}, "out_of_range",
                 "384");
  expect_failure({"logits", models() / "llama", "--tokens", "-1", "--out", scratch / "l.npy"}, "out_of_range", "-1");
  expect_failure({"logits", models() / "llama", "--tokens", "one", "--out", scratch / "l.npy"}, "invalid_argument",
                 "one");
  for (const char* list : {"", "1,,2", "1,", "1 2", "99999999999"}) {
    expect_failure({"logits", models() / "llama", "--tokens", list, "--out", scratch / "l.npy"}, "invalid_argument",
                   "is not a token id");
  }
  EXPECT_FALSE(fs::exists(scratch / "l.npy"));
}

TEST(Failures, ATextWithNothingToScore) {
  const TemporaryFolder scratch;
  write_file(scratch / "empty", "");
  expect_failure({"perplexity", models() / "qwen2", "--text", scratch / "empty"}, "invalid_argument", "at least two");
}

TEST(Failures, AModelWithoutATokenizerStillGivesLogits) {
  const TemporaryFolder scratch;
  EXPECT_EQ(nibble({"logits", models() / "llama_bias", "--tokens", "1,2", "--out", scratch / "l.npy"}).status, 0);
  EXPECT_EQ(read_npy(scratch / "l.npy").rows, 2);
  expect_failure({"generate", models() / "llama_bias", "--prompt", "a"}, "unsupported", "tokenizer");
}

TEST(Failures, ALostOutputIsNoSuccess) {
  if (!fs::is_character_file("/dev/full")) GTEST_SKIP() << "skipped: no /dev/full";
  const std::string program = quoted(NIBBLE_PROGRAM), model = quoted(models() / "llama");
  for (const char* rest : {"info MODEL", "info MODEL --json", "generate MODEL --prompt a --max-tokens 3"}) {
    std::string arguments = rest;
    arguments.replace(arguments.find("MODEL"), 5, model);
    EXPECT_EQ(std::system((program + " " + arguments + " > /dev/full 2> /dev/null").c_str()), 256) << rest;
  }
}

TEST(Failures, AnOutputThatIsNoFileIsNotReplaced) {
  const TemporaryFolder scratch;
  ASSERT_EQ(mkfifo((scratch / "pipe").c_str(), 0600), 0);
  expect_failure({"logits", models() / "llama", "--tokens", "1", "--out", scratch / "pipe"}, "io_error",
                 "not a regular file");
  EXPECT_TRUE(fs::is_fifo(scratch / "pipe"));
  write_file(scratch / "file", "old");
  fs::create_symlink("file", scratch / "link");
  answer({"logits", models() / "llama", "--tokens", "1", "--out", scratch / "link"});
  EXPECT_TRUE(fs::is_symlink(scratch / "link"));
  EXPECT_EQ(read_npy(scratch / "file").rows, 1);
}

TEST(Failures, AnUnwritableOutputLeavesTheOldFile) {
  const TemporaryFolder scratch;
  fs::create_directory(scratch / "out");
  write_file(scratch / "out/l.npy", "old");
  if (geteuid() == 0) {
    // Root writes anywhere: a folder in the file's place is what it cannot replace either.
    fs::create_directories(scratch / "taken/l.npy/full");
    expect_failure({"logits", models() / "llama", "--tokens", "1", "--out", scratch / "taken/l.npy"}, "io_error",
                   "l.npy");
    EXPECT_TRUE(fs::exists(scratch / "taken/l.npy/full"));
  } else {
    fs::permissions(scratch / "out", fs::perms::owner_read | fs::perms::owner_exec);
    expect_failure({"logits", models() / "llama", "--tokens", "1", "--out", scratch / "out/l.npy"}, "io_error",
                   "l.npy");
    fs::permissions(scratch / "out", fs::perms::owner_all);
  }
  expect_failure({"logits", models() / "llama", "--tokens", "1", "--out", scratch / "nowhere/l.npy"}, "io_error",
                 "nowhere");
  // A failure after the file was begun: nothing of it is left, the old one stays.
  expect_failure({"logits", models() / "llama", "--tokens", "999", "--out", scratch / "out/l.npy"}, "out_of_range",
                 "999");
  EXPECT_EQ(read_file(scratch / "out/l.npy"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch / "out"), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace nibble::testing
