#include <fmt/format.h>

#include <algorithm>

#include "adapters/files/added_tokens.h"
#include "adapters/files/file_error.h"
#include "adapters/files/gguf.h"
#include "adapters/files/gguf_tokenizers.h"
#include "adapters/files/token_index.h"
#include "adapters/files/token_type.h"
#include "adapters/files/tokenizer_source.h"
#include "adapters/files/vocabulary.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

class GgufTokenizer {
 public:
  explicit GgufTokenizer(const GgufFile& file) : file_(file) {}

  TokenizerSource read() {
    const auto model = file_.text(key("model"));
    if (!model) return unsupported("the file has no tokenizer");
    if (*model != "llama" && *model != "gpt2")
      return unsupported(fmt::format("tokenizer model {} is not supported", shown(*model)));
    read_tokens();
    if (*model == "llama") {
      read_pieces();
    } else {
      read_byte_level();
    }
    read_ids(*model == "llama");
    return std::move(out_);
  }

 private:
  static std::string key(std::string_view name) { return tokenizer_key(name); }
  static TokenizerSource unsupported(std::string why) {
    TokenizerSource none;
    none.unsupported = std::move(why);
    return none;
  }
  template <class T>
  T same_length(T list, std::string_view name) {
    if (list.size() != out_.tokens.size())
      bad_file(file_.path(), key(name), fmt::format("{} entries for {} tokens", list.size(), out_.tokens.size()));
    return list;
  }

  void read_tokens() {
    if (const auto count = file_.length(key("tokens")); count > Vocabulary::kMostTokens)
      bad_file(file_.path(), key("tokens"), fmt::format("{} of them are more than any model has", count));
    auto tokens = file_.texts(key("tokens"));
    if (!tokens || tokens->empty()) bad_file(file_.path(), key("tokens"), "is missing");
    out_.tokens = std::move(*tokens);
    out_.types.assign(out_.tokens.size(), kNormal);
    if (const auto types = file_.integers(key("token_type"))) {
      same_length(*types, "token_type");
      for (std::size_t i = 0; i < types->size(); ++i) out_.types[i] = static_cast<std::int32_t>((*types)[i]);
      for (std::size_t i = 0; i < types->size(); ++i) {
        if (out_.types[i] == kUnused && out_.tokens[i] == gguf_hole(i)) out_.tokens[i].clear();
      }
    }
  }

  void read_pieces() {
    out_.kind = TokenizerSource::Kind::sentencepiece_pieces;
    auto scores = file_.floats(key("scores"));
    if (!scores) bad_file(file_.path(), key("scores"), "is missing");
    out_.scores = same_length(std::move(*scores), "scores");
    const bool prefix = file_.boolean(key("add_space_prefix")).value_or(true);
    // llama.cpp puts the space behind a control token too, as sentencepiece did for each part of a text.
    out_.prefix = prefix ? TokenizerSource::Prefix::always : TokenizerSource::Prefix::never;
    out_.remove_extra_whitespaces = file_.boolean(key("remove_extra_whitespaces")).value_or(false);
    add_added_tokens();
  }

  void read_byte_level() {
    out_.kind = TokenizerSource::Kind::byte_level_bpe;
    read_merges();
    const std::string pre(file_.text(key("pre")).value_or("default"));
    const auto* row = std::ranges::find(kGgufPreTokenizers, std::string_view(pre), &GgufPreTokenizer::name);
    if (row == std::end(kGgufPreTokenizers)) {
      out_ = unsupported(
          fmt::format("pre-tokenizer {} is not supported (gpt-2, llama-bpe, qwen2 and smollm are)", shown(pre)));
      return;
    }
    out_.pre_tokenizer = row->rule;
    out_.ignore_merges = row->ignore_merges;
    out_.split_digits = row->split_digits;
    out_.nfc = row->nfc;
    const bool prefix = file_.boolean(key("add_space_prefix")).value_or(false);
    out_.prefix = prefix ? TokenizerSource::Prefix::first : TokenizerSource::Prefix::never;
    add_added_tokens();
  }

  void read_merges() {
    const auto merges = file_.text_views(key("merges"));
    if (!merges) bad_file(file_.path(), key("merges"), "is missing");
    const TokenIndex index(out_.tokens);
    for (const std::string_view merge : *merges) {
      const auto pair = index.merge(merge);
      if (!pair) bad_file(file_.path(), key("merges"), fmt::format("\"{}\" does not name two tokens", shown(merge)));
      out_.merges.push_back(*pair);
    }
  }

  /// Control and user-defined tokens are found in the text before anything else.
  void add_added_tokens() {
    for (std::size_t i = 0; i < out_.tokens.size(); ++i) {
      const std::int32_t type = out_.types[i];
      if (out_.tokens[i].empty() || (type != kControl && type != kUserDefined && type != kUnknown)) continue;
      AddedToken& token = add_token(file_.path(), &out_.added);
      token.id = static_cast<std::int64_t>(i);
      token.text = out_.tokens[i];
      token.special = type != kUserDefined;
    }
  }

  std::optional<std::int64_t> id(std::string_view name) const {
    const auto value = file_.integer(key(name));
    if (!value || *value < 0 || static_cast<std::uint64_t>(*value) >= out_.tokens.size()) return {};
    return value;
  }

  void read_ids(bool is_llama) {
    out_.bos_id = id("bos_token_id");
    out_.eos_id = id("eos_token_id");
    out_.unk_id = id("unknown_token_id");
    out_.pad_id = id("padding_token_id");
    const bool is_llama3 = out_.pre_tokenizer == "llama3";
    out_.add_bos = file_.boolean(key("add_bos_token")).value_or(is_llama || is_llama3);
    out_.add_eos = file_.boolean(key("add_eos_token")).value_or(false);
    out_.chat_template = std::string(file_.text("tokenizer.chat_template").value_or(""));
  }

  const GgufFile& file_;
  TokenizerSource out_;
};

}  // namespace

TokenizerSource read_tokenizer_gguf(const GgufFile& file) { return GgufTokenizer(file).read(); }

}  // namespace files
}  // namespace v0
}  // namespace nibble
