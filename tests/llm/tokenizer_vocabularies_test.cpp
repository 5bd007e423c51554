// Real vocabularies: ../shared/data/tokenizers, SmolLM2, stories260K and the tiny models, read as the program reads
// them.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "adapters/files/tokenizer_source.h"
#include "adapters/llm/tokenizer/chat_template.h"
#include "adapters/llm/tokenizer/tokenizer.h"
#include "adapters/llm/tokenizer/utf8.h"
#include "nibble/error.h"
#include "tests/support/json_files.h"

namespace nibble::llm {
namespace {

using tests::Json, tests::read_file, tests::read_json;
namespace fs = std::filesystem;
const fs::path kData = tests::shared_data();

std::string decode_as_stream(const Tokenizer& tokenizer, const std::vector<int>& ids) {
  TextStream stream(tokenizer, /*continues=*/false);
  std::string text;
  for (const int id : ids) text += stream.add(id);
  return text + stream.finish();
}

struct Case {
  std::string text;
  std::vector<int> ids;
};

/// llama.cpp's lists: texts parted by a line `__ggml_vocab_test__`, ids a line each.
std::vector<Case> listed_cases(const fs::path& stem) {
  const std::string kSeparator = "\n__ggml_vocab_test__\n";
  const std::string texts = read_file(stem.string() + ".inp");
  std::ifstream id_lines(stem.string() + ".out");
  std::vector<Case> cases;
  for (std::size_t at = 0; at < texts.size();) {
    const std::size_t end = std::min(texts.find(kSeparator, at), texts.size());
    std::string line;
    std::getline(id_lines, line);
    std::istringstream numbers(line);
    cases.push_back({texts.substr(at, end - at), {std::istream_iterator<int>(numbers), {}}});
    at = end + kSeparator.size();
  }
  return cases;
}

void expect_cases(const Tokenizer& tokenizer, const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    EXPECT_EQ(tokenizer.encode(one.text), one.ids) << '"' << one.text << '"';
    EXPECT_EQ(tokenizer.decode(one.ids), one.text);
    EXPECT_EQ(decode_as_stream(tokenizer, one.ids), one.text);
  }
}

// ---- ../shared/data/tokenizers
// -----------------------------------------------------------------------------------------

struct Vocabulary {
  const char* name;   // of the lists
  const char* files;  // under ../shared/data/tokenizers
  int size;
};

TokenizerSource source_of(const Vocabulary& vocabulary) {
  const fs::path path = kData / "tokenizers" / vocabulary.files;
  if (vocabulary.name == std::string("llama-bpe")) {
    // The two files do not say which rule they go with; Llama 3's config does.
    TokenizerSource source = files::read_vocab_and_merges(path / "encoder.json", path / "vocab.bpe");
    source.pre_tokenizer = "llama3";
    source.patterns.clear();
    source.ignore_merges = true;
    return source;
  }
  return files::read_tokenizer(path);
}

class SharedVocabulary : public testing::TestWithParam<Vocabulary> {};

TEST_P(SharedVocabulary, EncodesAndDecodesEveryCase) {
  if (!fs::exists(kData / "tokenizers")) GTEST_SKIP() << "skipped: no ../shared/data";
  const auto tokenizer = Tokenizer::make(source_of(GetParam()));
  EXPECT_EQ(tokenizer->vocab_size(), GetParam().size);
  const std::vector<Case> cases =
      listed_cases(kData / "tokenizers" / ("ggml-vocab-" + std::string(GetParam().name) + ".gguf"));
  EXPECT_EQ(cases.size(), 46u);
  expect_cases(*tokenizer, cases);
}
INSTANTIATE_TEST_SUITE_P(LlamaCpp, SharedVocabulary,
                         testing::Values(Vocabulary{"gpt-2", "ggml-vocab-gpt-2.gguf", 50257},
                                         Vocabulary{"llama-spm", "ggml-vocab-llama-spm.gguf", 32000},
                                         Vocabulary{"phi-3", "ggml-vocab-phi-3.gguf", 32064},
                                         Vocabulary{"qwen2", "qwen3", 151669},
                                         Vocabulary{"llama-bpe", "llama3.2", 128000}),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(QwenFolder, FindsAddedTokensAndItsTemplate) {
  if (!fs::exists(kData / "tokenizers")) GTEST_SKIP() << "skipped: no ../shared/data";
  const TokenizerSource source = files::read_tokenizer(kData / "tokenizers/qwen3");
  const auto tokenizer = Tokenizer::make(source);
  EXPECT_EQ(tokenizer->encode("<|im_start|><think>"), (std::vector<int>{151644, 151667}));
  EXPECT_TRUE(tokenizer->is_control(151644));
  EXPECT_FALSE(tokenizer->is_control(151667));
  EXPECT_FALSE(tokenizer->add_bos());
  EXPECT_EQ(ChatTemplate::recognise(source).style(), ChatTemplate::Style::chatml);
  EXPECT_EQ(tokenizer->encode("e\u0301"), tokenizer->encode("\u00e9"));  // NFC
}

TEST(QwenGguf, NormalisesAsTheModelsOwnTokenizerDoes) {
  const TokenizerSource source = files::read_tokenizer(tests::goldens() / "tiny_qwen2.gguf");
  EXPECT_TRUE(source.nfc);
  const auto tokenizer = Tokenizer::make(source);
  EXPECT_EQ(tokenizer->encode("e\u0301"), tokenizer->encode("\u00e9"));
}

// ---- SmolLM2
// -----------------------------------------------------------------------------------------------------------

const fs::path kSmolLM2 = tests::source_dir() / "build/models/SmolLM2-135M-Instruct.Q4_1.gguf";

TEST(SmolLM2, EncodesAndDecodesEveryCase) {
  if (!fs::exists(kData)) GTEST_SKIP() << "skipped: no ../shared/data";
  if (!fs::exists(kSmolLM2)) GTEST_SKIP() << "skipped: no " << kSmolLM2;
  const TokenizerSource source = files::read_tokenizer(kSmolLM2);
  const auto tokenizer = Tokenizer::make(source);
  std::vector<Case> cases;
  for (const Json& one : read_json(kData / "smollm2/tokenizer_cases.json")) cases.push_back({one["text"], one["ids"]});
  EXPECT_EQ(cases.size(), 47u);
  expect_cases(*tokenizer, cases);

  const ChatTemplate chat = ChatTemplate::recognise(source);
  EXPECT_EQ(chat.default_system(), "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  const Json reference = read_json(kData / "smollm2/reference.json");
  for (const Json& one : reference["chat"]) {
    const std::string prompt = chat.render(std::vector<ChatMessage>{{"user", one["question"]}});
    EXPECT_EQ(prompt, one["prompt"].get<std::string>());
    EXPECT_EQ(tokenizer->encode(prompt), one["prompt_ids"].get<std::vector<int>>());
    EXPECT_EQ(tokenizer->decode(one["greedy_ids"].get<std::vector<int>>(), /*with_control=*/true),
              one["greedy_text"].get<std::string>());
  }
}

// ---- stories260K
// -------------------------------------------------------------------------------------------------------

TEST(Stories260K, EncodesItsPromptAndStories) {
  const fs::path folder = kData / "stories260K";
  if (!fs::exists(folder)) GTEST_SKIP() << "skipped: no ../shared/data";
  const auto tokenizer = Tokenizer::make(files::read_tokenizer(folder));
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  const Json reference = read_json(folder / "reference.json");
  const auto without_bos = [](const Json& ids) { return std::vector<int>(ids.begin() + 1, ids.end()); };
  EXPECT_EQ(tokenizer->encode(reference["prompt"].get<std::string>()), without_bos(reference["prompt_ids"]));
  for (const Json& story : reference["stories"]) {
    const std::vector<int> ids = without_bos(story["ids"]);
    const std::string text = tokenizer->decode(ids);
    std::vector<int> again = tokenizer->encode(text);
    again.resize(ids.size() - 8);  // stories cut at 512 ids may end within a word
    EXPECT_EQ(again, std::vector<int>(ids.begin(), ids.end() - 8)) << text;
  }
  const std::string greedy = read_file(folder / "expected_greedy.txt");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(greedy)), greedy);
}

// ---- the tiny models
// ---------------------------------------------------------------------------------------------------

class TinyTokenizer : public testing::TestWithParam<const char*> {
 protected:
  const fs::path folder_ = tests::models() / GetParam();
  const Json golden_ = read_json(folder_ / "tokenizer_cases.json");
  const TokenizerSource source_ = files::read_tokenizer(folder_);
  const std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::make(source_);
};

TEST_P(TinyTokenizer, EncodesAsTransformersDoes) {
  for (const Json& one : golden_["cases"]) {
    const auto text = one["text"].get<std::string>();
    const auto ids = one["ids"].get<std::vector<int>>();
    EXPECT_EQ(tokenizer_->encode(text), ids) << '"' << text << '"';
    // Behind an added token the normalizer may put a space, which the text then has: only texts without come back as
    // they were.
    if (std::any_of(ids.begin(), ids.end(), [&](int id) { return tokenizer_->is_control(id); })) continue;
    EXPECT_EQ(tokenizer_->encode(tokenizer_->decode(ids)), ids) << '"' << text << '"';
  }
  if (golden_["bos_id"].is_null()) {
    EXPECT_FALSE(tokenizer_->add_bos());
  } else {
    EXPECT_TRUE(tokenizer_->add_bos());
    EXPECT_EQ(tokenizer_->bos(), golden_["bos_id"].get<int>());
  }
}

TEST_P(TinyTokenizer, DecodesWhatItEncoded) {
  const std::vector<std::string> texts = {"The tide came in over the flat sand.",
                                          " the",
                                          "  two   runs    of spaces ",
                                          "\ttabs\tand\nnew\nlines\r\n\n\n  indented\n",
                                          "日本語 and 한국어",
                                          "🙂👩\u200d🚀",
                                          std::string("a\0b", 3),
                                          ""};
  for (const std::string& text : texts) {
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text);
    EXPECT_EQ(decode_as_stream(*tokenizer_, tokenizer_->encode(text)), text);
  }
}

TEST_P(TinyTokenizer, EncodesItsChats) {
  const ChatTemplate chat = ChatTemplate::recognise(source_);
  for (const Json& one : golden_["chats"]) {
    std::vector<ChatMessage> messages;
    for (const Json& message : one["messages"]) messages.push_back({message["role"], message["content"]});
    EXPECT_EQ(chat.render(messages), one["text"].get<std::string>());
  }
}

TEST_P(TinyTokenizer, TakesAnyBytes) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const std::string text = replace_invalid_utf8(bytes);
    const std::vector<int> ids = tokenizer_->encode(bytes);
    ASSERT_EQ(ids, tokenizer_->encode(text));
    if (!source_.nfc) {
      ASSERT_EQ(tokenizer_->decode(ids, true), text);
    }
  }
}

TEST_P(TinyTokenizer, TakesAMegabyteOfOneLetter) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text);
}

TEST_P(TinyTokenizer, TakesLongRunsOfWhatPatternsBacktrackOn) {
  for (const char letter : {' ', '\n', '<', '7', '.'}) {
    const std::string text(1 << 16, letter);
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text) << letter;
  }
}
INSTANTIATE_TEST_SUITE_P(Models, TinyTokenizer, testing::Values("llama", "mistral", "qwen2", "qwen3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace nibble::llm
