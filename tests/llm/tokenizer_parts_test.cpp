// The tokenizer's parts, each against a stated rule: UTF-8, word splitting, added tokens, merging, streams.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/llm/tokenizer/added_tokens.h"
#include "adapters/llm/tokenizer/pre_tokenizer.h"
#include "adapters/llm/tokenizer/tokenizer.h"
#include "adapters/llm/tokenizer/utf8.h"
#include "nibble/error.h"

namespace nibble::llm {
namespace {

using testing::ElementsAre;

// ---- UTF-8
// -----------------------------------------------------------------------------------------------------------

TEST(Utf8, ReplacesMaximalSubparts) {
  // The Unicode Standard 15, tables 3-8 to 3-11; also what Python's decode("utf-8", "replace") gives.
  EXPECT_EQ(replace_invalid_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"), "a���b�c��d");
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), "��������A");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), "��������A");
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), "�����A��B");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "����A");
}

TEST(Utf8, LeavesEveryCharacterAlone) {
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x900 ? 1 : 0x3D) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    ASSERT_EQ(replace_invalid_utf8(text), text) << static_cast<std::uint32_t>(c);
    ASSERT_EQ(first_character(text), c);
  }
}

TEST(Utf8, HoldsBackOnlyTheBeginningOfACharacter) {
  std::string pending = "ab\xF0\x9F\x99";
  EXPECT_EQ(take_utf8(pending, false), "ab");
  EXPECT_EQ(pending, "\xF0\x9F\x99");
  pending += "\x82!";
  EXPECT_EQ(take_utf8(pending, false), "🙂!");
  EXPECT_EQ(pending, "");
  pending = "\xF0\x9F";
  EXPECT_EQ(take_utf8(pending, true), "�");
}

// ---- words
// -----------------------------------------------------------------------------------------------------------

std::vector<std::string> words(std::string_view rule, std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view word : PreTokenizer(rule, {}, false).split(text)) out.emplace_back(word);
  return out;
}

TEST(PreTokenizer, CutsAsHuggingFaceTokenizersDoes) {
  // Made with tokenizers 0.23.3: ByteLevel, Digits + ByteLevel, and Split by Llama 3's expression.
  EXPECT_THAT(words("gpt-2", "12½Ⅷ 3"), ElementsAre("12½Ⅷ", " 3"));
  EXPECT_THAT(words("smollm", "12½Ⅷ 3"), ElementsAre("1", "2", "½", "Ⅷ", " ", "3"));
  EXPECT_THAT(words("llama3", "12½Ⅷ 3"), ElementsAre("12½", "Ⅷ", " ", "3"));
  EXPECT_THAT(words("gpt-2", "'S's'ſ's"), ElementsAre("'", "S", "'s", "'", "ſ", "'s"));
  EXPECT_THAT(words("llama3", "'S's'ſ's"), ElementsAre("'S", "'s", "'ſ", "'s"));
}

TEST(PreTokenizer, KnowsUnicodeWhiteSpace) {
  // U+180E is no white space since Unicode 6.3, U+0085 is; the same oracle.
  EXPECT_THAT(words("gpt-2", "a\u180eb"), ElementsAre("a", "\u180e", "b"));
  EXPECT_THAT(words("gpt-2", "x\u0085 \u0085y"), ElementsAre("x", "\u0085 ", "\u0085", "y"));
  EXPECT_THAT(words("gpt-2", "a\u2028\u2028b"), ElementsAre("a", "\u2028", "\u2028", "b"));
  EXPECT_THAT(words("llama3", "a\u2028\u2028b"), ElementsAre("a", "\u2028", "\u2028b"));
  EXPECT_THAT(words("qwen2", "\u1680\u1680z"), ElementsAre("\u1680", "\u1680z"));
}

TEST(PreTokenizer, TakesOtherExpressionsAndRefusesWhatItCannotMean) {
  const PreTokenizer commas("", {","}, false);
  EXPECT_THAT(commas.split("a,b"), ElementsAre("a", ",", "b"));
  EXPECT_THAT(PreTokenizer("", {}, false).split("a b"), ElementsAre("a b"));
  EXPECT_THAT(PreTokenizer("", {R"(\S+)"}, true).split("a1 b"), ElementsAre("a", "1", " ", "b"));
  for (const std::string broken : {"(", "[a&&b]"}) {
    try {
      PreTokenizer("", {broken}, false);
      ADD_FAILURE() << broken;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      EXPECT_NE(std::string(error.what()).find(broken), std::string::npos);
    }
  }
  EXPECT_THROW(PreTokenizer("no such rule", {}, false), Error);
}

// ---- added tokens
// ----------------------------------------------------------------------------------------------------

std::vector<std::string> segments(const AddedTokens& tokens, std::string_view text, bool parse_special = true) {
  std::vector<std::string> out;
  for (const Segment& segment : tokens.split(text, parse_special))
    out.push_back(segment.id < 0 ? std::string(segment.text) : fmt::format("#{}", segment.id));
  return out;
}

TEST(AddedTokens, TheLongestThatBeginsFirstWins) {
  const AddedTokens tokens(
      {{.id = 1, .text = "<a"}, {.id = 2, .text = "<a>"}, {.id = 3, .text = "<a>b"}, {.id = 4, .text = "b<"}});
  EXPECT_THAT(segments(tokens, "x<a><a>b<a"), ElementsAre("x", "#2", "#3", "#1"));
  EXPECT_THAT(segments(tokens, "ab<a>"), ElementsAre("a", "#4", "a>"));
  EXPECT_THAT(segments(tokens, ""), ElementsAre());
}

TEST(AddedTokens, SpecialOnesAreTextWhenNotParsed) {
  const AddedTokens tokens({{.id = 1, .text = "<s>"}, {.id = 2, .text = "<think>", .special = false}});
  EXPECT_THAT(segments(tokens, "<s>a<think>", false), ElementsAre("<s>a", "#2"));
}

TEST(AddedTokens, SwallowSpaceAndKeepToWords) {
  const AddedTokens tokens({{.id = 1, .text = "<m>", .lstrip = true},
                            {.id = 2, .text = "<e>", .rstrip = true},
                            {.id = 3, .text = "cat", .single_word = true}});
  EXPECT_THAT(segments(tokens, "a \n<m> b"), ElementsAre("a", "#1", " b"));
  EXPECT_THAT(segments(tokens, "a <e> \n b <e> "), ElementsAre("a ", "#2", "b ", "#2"));
  EXPECT_THAT(segments(tokens, "cat concat cat."), ElementsAre("#3", " concat ", "#3", "."));
}

// ---- byte-level BPE on a vocabulary made by hand
// -----------------------------------------------------------------------

/// The 256 bytes, then what `merges` make, then "<|end|>" (special) and "<think>" (not).
TokenizerSource byte_level(const std::vector<std::array<std::int32_t, 2>>& merges) {
  TokenizerSource source;
  source.kind = TokenizerSource::Kind::byte_level_bpe;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    append_utf8(source.tokens.emplace_back(), printable ? byte : next++);
  }
  for (const auto& [left, right] : merges) {
    source.tokens.push_back(source.tokens[static_cast<std::size_t>(left)] +
                            source.tokens[static_cast<std::size_t>(right)]);
    source.merges.push_back({left, right});
  }
  for (const auto& [text, special] : {std::pair("<|end|>", true), std::pair("<think>", false)}) {
    source.added.push_back({.id = static_cast<std::int64_t>(source.tokens.size()), .text = text, .special = special});
    source.tokens.push_back(text);
  }
  return source;
}

TEST(ByteLevelBpe, MergesTheLowestRankFirstThenTheLeftmost) {
  const auto tokenizer = Tokenizer::make(byte_level({{'b', 'c'}, {'a', 'b'}, {'a', 'a'}, {258, 258}}));
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre('a', 256));  // bc before ab
  EXPECT_THAT(tokenizer->encode("abab"), ElementsAre(257, 257));
  EXPECT_THAT(tokenizer->encode("aaaaa"), ElementsAre(259, 'a'));  // from the left: aa aa a
  EXPECT_THAT(tokenizer->encode("aaabc"), ElementsAre(258, 'a', 256));
}

TEST(ByteLevelBpe, TakesWholeWordsWhereMergesAreIgnored) {
  TokenizerSource source = byte_level({{'b', 'c'}});
  source.tokens.push_back("abc");  // no merges lead here
  EXPECT_THAT(Tokenizer::make(source)->encode("abc"), ElementsAre('a', 256));
  source.ignore_merges = true;
  EXPECT_THAT(Tokenizer::make(source)->encode("abc"), ElementsAre(static_cast<int>(source.tokens.size()) - 1));
}

TEST(ByteLevelBpe, ComposesWhereTheModelAsksForIt) {
  TokenizerSource source = byte_level({});
  EXPECT_EQ(Tokenizer::make(source)->encode("e\u0301").size(), 3u);
  source.nfc = true;
  EXPECT_THAT(Tokenizer::make(source)->encode("e\u0301"), ElementsAre(0xC3, 0xA9));
}

TEST(ByteLevelBpe, PutsASpaceInFrontAndTakesItAwayAgain) {
  TokenizerSource source = byte_level({});
  source.prefix = TokenizerSource::Prefix::first;
  const auto tokenizer = Tokenizer::make(source);
  EXPECT_THAT(tokenizer->encode("a<think>b"), ElementsAre(' ', 'a', 257, 'b'));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a")), "a");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a"), false, /*continues=*/true), " a");
}

TEST(ByteLevelBpe, LeavesOutBytesThatHaveNoToken) {
  TokenizerSource source = byte_level({});
  source.tokens[4] = "no byte";  // U+0004
  source.unk_id = 256;
  EXPECT_THAT(Tokenizer::make(source)->encode("a\x04z"), ElementsAre('a', 'z'));
}

TEST(ByteLevelBpe, RefusesMergesOutsideTheVocabulary) {
  TokenizerSource source = byte_level({});
  source.merges.push_back({97, 100000});
  EXPECT_THROW(Tokenizer::make(source), Error);
  source.merges.back() = {97, 98};  // "ab" is no token
  EXPECT_THROW(Tokenizer::make(source), Error);
}

TEST(Tokenizer, ControlTokensWriteNothingUnlessAsked) {
  const auto tokenizer = Tokenizer::make(byte_level({}));
  const std::vector<int> ids = tokenizer->encode("x<|end|><think>");
  EXPECT_THAT(ids, ElementsAre('x', 256, 257));
  EXPECT_TRUE(tokenizer->is_control(256));
  EXPECT_FALSE(tokenizer->is_control(257));
  EXPECT_EQ(tokenizer->decode(ids), "x<think>");
  EXPECT_EQ(tokenizer->decode(ids, /*with_control=*/true), "x<|end|><think>");
  EXPECT_EQ(tokenizer->encode("<|end|>", false).size(), 7u);
  EXPECT_EQ(tokenizer->find("<|end|>"), 256);
  EXPECT_EQ(tokenizer->find("nowhere"), std::nullopt);
}

TEST(Tokenizer, RefusesIdsOutsideTheVocabulary) {
  const auto tokenizer = Tokenizer::make(byte_level({}));
  for (const int id : {-1, tokenizer->vocab_size()}) {
    EXPECT_THROW(tokenizer->piece(id), Error);
    EXPECT_THROW(tokenizer->decode(std::vector<int>{id}), Error);
  }
}

TEST(Tokenizer, SaysWhyThereIsNone) {
  TokenizerSource source;
  source.unsupported = "tokenizer.json: model type \"WordPiece\"";
  try {
    Tokenizer::make(source);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find("WordPiece"), std::string::npos);
  }
}

// ---- streams
// ---------------------------------------------------------------------------------------------------------

TEST(TextStream, NeverSplitsACharacter) {
  const auto tokenizer = Tokenizer::make(byte_level({}));
  TextStream stream(*tokenizer);
  std::vector<std::string> parts;
  for (const int id : tokenizer->encode("é🙂")) parts.push_back(stream.add(id));
  EXPECT_THAT(parts, ElementsAre("", "é", "", "", "", "🙂"));
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.add(0xF0), "");
  EXPECT_EQ(stream.add('x'), "\uFFFDx");  // what can no longer become a character is let go at once
  EXPECT_EQ(stream.add(0xE2), "");
  EXPECT_EQ(stream.add(0x82), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, GivesWhatDecodeGives) {
  const auto tokenizer = Tokenizer::make(byte_level({{0xC3, 0xA9}, {0x9F, 0x99}}));
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> ids(random() % 40);
    for (int& id : ids) id = static_cast<int>(random() % static_cast<unsigned>(tokenizer->vocab_size()));
    TextStream stream(*tokenizer);
    std::string text;
    for (const int id : ids) {
      const std::string part = stream.add(id);
      ASSERT_EQ(replace_invalid_utf8(part), part);  // each part is whole by itself
      text += part;
    }
    text += stream.finish();
    std::string bytes;
    for (const int id : ids) bytes += tokenizer->bytes(id);
    ASSERT_EQ(text, replace_invalid_utf8(bytes));
  }
}

// ---- sentencepiece on pieces made by hand
// ------------------------------------------------------------------------------

TokenizerSource pieces(TokenizerSource::Prefix prefix) {
  TokenizerSource source;
  source.kind = TokenizerSource::Kind::sentencepiece_pieces;
  const auto add = [&](const std::string& text, std::int32_t type, float score = 0) {
    source.tokens.push_back(text);
    source.types.push_back(type);
    source.scores.push_back(score);
  };
  add("<unk>", 2);
  add("<s>", 3);
  add("</s>", 3);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), 6);
  add("▁", 1, -3);   // 259
  add("a", 1, -4);   // 260
  add("▁a", 1, -1);  // 261
  add("aa", 1, -2);  // 262
  add("", 1);        // a hole
  add("a", 1);       // a double
  source.bos_id = 1;
  source.eos_id = 2;
  source.unk_id = 0;
  source.prefix = prefix;
  return source;
}

TEST(Sentencepiece, MergesByScoreAndFallsBackToBytes) {
  const auto tokenizer = Tokenizer::make(pieces(TokenizerSource::Prefix::always));
  EXPECT_EQ(tokenizer->vocab_size(), 265);
  EXPECT_THAT(tokenizer->encode("aaa"), ElementsAre(261, 262));
  EXPECT_THAT(tokenizer->encode("é"), ElementsAre(259, 3 + 0xC3, 3 + 0xA9));
  EXPECT_THAT(tokenizer->encode("\xFF"), ElementsAre(259, 3 + 0xEF, 3 + 0xBF, 3 + 0xBD));  // U+FFFD
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" aé a")), " aé a");
  EXPECT_EQ(tokenizer->piece(3 + 10), "<0x0A>");
  EXPECT_EQ(tokenizer->bytes(3 + 10), "\n");
  EXPECT_EQ(tokenizer->bytes(261), " a");
}

TEST(Sentencepiece, PutsASpaceWhereTheModelDoes) {
  using Prefix = TokenizerSource::Prefix;
  EXPECT_THAT(Tokenizer::make(pieces(Prefix::always))->encode("a</s>a"), ElementsAre(261, 2, 261));
  EXPECT_THAT(Tokenizer::make(pieces(Prefix::first))->encode("a</s>a"), ElementsAre(261, 2, 260));
  EXPECT_THAT(Tokenizer::make(pieces(Prefix::first))->encode("</s>a"), ElementsAre(2, 260));
  EXPECT_THAT(Tokenizer::make(pieces(Prefix::never))->encode("a</s>a"), ElementsAre(260, 2, 260));
}

TEST(Sentencepiece, TakesFilesWithoutOneUnknownPiece) {
  TokenizerSource source = pieces(TokenizerSource::Prefix::always);
  source.types[0] = 1;
  source.unk_id.reset();
  EXPECT_THAT(Tokenizer::make(source)->encode("aa"), ElementsAre(261, 260));
  source.types[0] = 2;
  source.types[264] = 2;  // padding marked as unknown, as Phi-3's GGUF has it
  EXPECT_THAT(Tokenizer::make(source)->encode("aa"), ElementsAre(261, 260));
  source.scores.pop_back();
  EXPECT_THROW(Tokenizer::make(source), Error);
}

TEST(Sentencepiece, RefusesWhatIsNoModel) {
  TokenizerSource source;
  source.kind = TokenizerSource::Kind::sentencepiece_model;
  source.model_path = NIBBLE_SOURCE_DIR "/LICENSE";
  try {
    Tokenizer::make(source);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_file);
    EXPECT_NE(std::string(error.what()).find("LICENSE"), std::string::npos) << error.what();
  }
  source.model_path = "/nonexistent/tokenizer.model";
  EXPECT_THROW(Tokenizer::make(source), Error);
}

}  // namespace
}  // namespace nibble::llm
