#include <fmt/format.h>

#include <algorithm>

#include "adapters/files/file_error.h"
#include "adapters/files/gguf_metadata.h"
#include "adapters/files/gguf_tokenizers.h"
#include "adapters/files/token_type.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

class TokenizerPairs {
 public:
  TokenizerPairs(const Checkpoint& checkpoint, std::int64_t vocab_size, GgufPairs* out)
      : checkpoint_(checkpoint),
        source_(checkpoint.tokenizer()),
        vocab_size_(static_cast<std::size_t>(vocab_size)),
        out_(*out) {}

  std::vector<std::string> write() {
    using Kind = TokenizerSource::Kind;
    if (source_.kind == Kind::sentencepiece_pieces) {
      write_pieces();
    } else if (const GgufPreTokenizer* pre = pre_tokenizer(); source_.kind == Kind::byte_level_bpe && pre) {
      write_byte_level(pre->name);
    } else {
      out_.text(tokenizer_key("model"), "none");
      lose(fmt::format("the tokenizer is not written: {}", why_not()));
    }
    write_ends();
    return std::move(losses_);
  }

 private:
  /// Null where no name stands for these rules.
  const GgufPreTokenizer* pre_tokenizer() const {
    const auto* row = std::ranges::find_if(kGgufPreTokenizers, [&](const GgufPreTokenizer& p) {
      return p.rule == source_.pre_tokenizer && p.ignore_merges == source_.ignore_merges &&
             p.split_digits == source_.split_digits && p.nfc == source_.nfc;
    });
    return row == std::end(kGgufPreTokenizers) ? nullptr : row;
  }

  std::string why_not() const {
    switch (source_.kind) {
      case TokenizerSource::Kind::none: return source_.unsupported;
      case TokenizerSource::Kind::sentencepiece_model:
        return "it is a tokenizer.model, with no tokenizer.json beside it";
      default: return "GGUF has no name for the rules by which it cuts text into words";
    }
  }

  void write_pieces() {
    out_.text(tokenizer_key("model"), "llama");
    out_.text(tokenizer_key("pre"), "default");
    write_tokens();
    std::vector<float> scores = source_.scores;
    scores.resize(vocab_size_);
    out_.numbers(tokenizer_key("scores"), scores);
    out_.boolean(tokenizer_key("add_space_prefix"), source_.prefix != TokenizerSource::Prefix::never);
    out_.boolean(tokenizer_key("remove_extra_whitespaces"), source_.remove_extra_whitespaces);
    write_roles();
  }

  void write_byte_level(std::string_view pre) {
    out_.text(tokenizer_key("model"), "gpt2");
    out_.text(tokenizer_key("pre"), pre);
    write_tokens();
    std::vector<std::string> merges;
    for (const auto& [left, right] : source_.merges) merges.push_back(fmt::format("{} {}", token(left), token(right)));
    out_.texts(tokenizer_key("merges"), merges);
    out_.boolean(tokenizer_key("add_space_prefix"), source_.prefix != TokenizerSource::Prefix::never);
    write_roles();
  }

  const std::string& token(std::int32_t id) const { return source_.tokens[static_cast<std::size_t>(id)]; }

  /// An id for each row of the embedding, as llama.cpp wants it.
  void write_tokens() {
    if (source_.tokens.size() > vocab_size_) {
      refuse(ErrorCode::unsupported, checkpoint_.path(), "",
             fmt::format("{} tokens for an embedding of {} rows", source_.tokens.size(), vocab_size_));
    }
    std::vector<std::string> tokens = source_.tokens;
    std::vector<std::int32_t> types = source_.types;
    tokens.resize(vocab_size_);
    types.resize(vocab_size_, kUnused);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].empty()) continue;
      tokens[i] = gguf_hole(i);
      types[i] = kUnused;
    }
    out_.texts(tokenizer_key("tokens"), tokens);
    out_.integers(tokenizer_key("token_type"), types);
    const auto is_particular = [](const AddedToken& t) { return t.lstrip || t.rstrip || t.single_word; };
    if (const auto count = std::ranges::count_if(source_.added, is_particular); count > 0)
      lose(fmt::format("tokens that swallow spaces or stand for single words are plain ones there: {}", count));
  }

  void write_roles() {
    const auto role = [&](std::string_view name, const std::optional<std::int64_t>& id) {
      if (id) out_.count(tokenizer_key(name), *id);
    };
    role("unknown_token_id", source_.unk_id);
    role("padding_token_id", source_.pad_id);
    out_.boolean(tokenizer_key("add_bos_token"), source_.add_bos);
    out_.boolean(tokenizer_key("add_eos_token"), source_.add_eos);
    if (!source_.chat_template.empty()) out_.text("tokenizer.chat_template", source_.chat_template);
  }

  /// What a text begins and ends with, also where nobody can read the tokenizer.
  void write_ends() {
    const auto bos = source_.bos_id ? source_.bos_id : checkpoint_.generation().bos_token_id;
    if (bos) out_.count(tokenizer_key("bos_token_id"), *bos);
    std::vector<std::int64_t> ends = checkpoint_.eos_token_ids();
    if (const auto own = source_.eos_id ? std::ranges::find(ends, *source_.eos_id) : ends.end(); own != ends.end())
      std::rotate(ends.begin(), own, own + 1);
    constexpr std::string_view kKeys[] = {"eos_token_id", "eot_token_id", "eom_token_id"};
    for (std::size_t i = 0; i < std::min(ends.size(), std::size(kKeys)); ++i)
      out_.count(tokenizer_key(kKeys[i]), ends[i]);
    if (ends.size() > std::size(kKeys))
      lose(fmt::format("tokens that end a text: {}, of which three are written", ends.size()));
  }

  void lose(std::string_view what) {
    losses_.push_back(fmt::format("{}: {}", shown(checkpoint_.path().string()), what));
  }

  const Checkpoint& checkpoint_;
  const TokenizerSource& source_;
  std::size_t vocab_size_;
  GgufPairs& out_;
  std::vector<std::string> losses_;
};

}  // namespace

std::vector<std::string> write_gguf_tokenizer(const Checkpoint& checkpoint, std::int64_t vocab_size, GgufPairs* out) {
  return TokenizerPairs(checkpoint, vocab_size, out).write();
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
