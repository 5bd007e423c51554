#include <gmock/gmock.h>

#include "adapters/files/checkpoint.h"
#include "adapters/files/tokenizer_source.h"
#include "file_test_support.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using ::testing::HasSubstr;

/// What is said of a tokenizer.json of this text.
std::string refusal(const std::string& text) {
  const TemporaryFolder scratch;
  write_file(scratch / "tokenizer.json", text);
  nb::ErrorCode code{};
  const std::string said = error_text([&] { nb::files::read_tokenizer_json(scratch / "tokenizer.json"); }, &code);
  EXPECT_EQ(code, nb::ErrorCode::invalid_file) << text;
  return said;
}

std::string with_added(const std::string& added) {
  return R"({"added_tokens": )" + added +
         R"(, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";
}

TEST(TokenizerJson, MustBeAnObject) {
  for (const char* text : {"5", "null", "true", R"("text")", "[1]", "[]", R"([{"model": {}}])"}) {
    EXPECT_THAT(refusal(text), HasSubstr("is not a JSON object")) << text;
  }
  EXPECT_THAT(refusal(""), HasSubstr("is not JSON"));
}

TEST(TokenizerJson, AddedTokensMustBeAListOfObjects) {
  for (const char* added :
       {R"({"x": {"id": 1, "content": "c"}})", R"([1, 2, 3, {"id": 1, "content": "c"}])", R"([[], [0]])"}) {
    EXPECT_THAT(refusal(with_added(added)), HasSubstr("added_tokens: is not a list of objects")) << added;
  }
  EXPECT_THAT(refusal(with_added(R"([{"id": -1, "content": "c"}])")), HasSubstr("id -1"));
  EXPECT_THAT(refusal(with_added(R"([{"id": 4000000000, "content": "c"}])")), HasSubstr("id 4000000000"));
}

TEST(TokenizerJson, AddedTokensTakeTheirPlaceInTheVocabulary) {
  const TemporaryFolder scratch;
  write_file(
      scratch / "tokenizer.json",
      with_added(R"([{"id": 4, "content": "<c>", "special": true}, {"id": 3, "content": "d", "special": false}])"));
  const auto source = nb::files::read_tokenizer_json(scratch / "tokenizer.json");
  EXPECT_EQ(source.tokens, (std::vector<std::string>{"a", "b", "ab", "d", "<c>"}));
  ASSERT_EQ(source.added.size(), 2u);
  EXPECT_EQ(source.added[0].id, 3);
  EXPECT_FALSE(source.added[0].special);
  EXPECT_TRUE(source.added[1].special);
}

TEST(TokenizerConfig, MustBeAnObject) {
  const TemporaryFolder scratch;
  write_file(scratch / "tokenizer.json", with_added("[]"));
  write_file(scratch / "tokenizer_config.json", "7");
  EXPECT_THAT(error_text([&] { nb::files::read_tokenizer_folder(scratch.path()); }),
              HasSubstr("tokenizer_config.json"));
}

TEST(TokenizerFiles, AreLookedForBesideAFileOfABareName) {
  const TemporaryFolder scratch;
  fs::copy(models() / "llama", scratch / "with");
  fs::create_directory(scratch / "without");
  fs::copy(models() / "llama/model.safetensors", scratch / "without");
  const fs::path here = fs::current_path();
  const auto tokenizer_in = [&](const char* folder) {
    fs::current_path(scratch / folder);
    const auto tokenizer = nb::files::Checkpoint::open("model.safetensors").tokenizer();
    fs::current_path(here);
    return tokenizer;
  };
  EXPECT_EQ(tokenizer_in("with").kind, nb::files::TokenizerSource::Kind::sentencepiece_pieces);
  EXPECT_THAT(tokenizer_in("without").unsupported, ::testing::StartsWith(".: has no tokenizer.json"));
}

}  // namespace
}  // namespace nibble_test
