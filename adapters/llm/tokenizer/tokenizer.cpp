#include "adapters/llm/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "adapters/files/file_error.h"
#include "adapters/files/token_type.h"
#include "adapters/llm/tokenizer/byte_level_bpe.h"
#include "adapters/llm/tokenizer/sentencepiece_tokenizer.h"
#include "adapters/llm/tokenizer/utf8.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

/// Ids that an added token may leave unused behind the vocabulary.
constexpr std::int64_t kLargestHole = 8192;

std::optional<int> as_id(std::optional<std::int64_t> id, std::size_t vocab_size) {
  if (!id || *id < 0 || *id >= static_cast<std::int64_t>(vocab_size)) return std::nullopt;
  return static_cast<int>(*id);
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::make(const TokenizerSource& source) {
  switch (source.kind) {
    case TokenizerSource::Kind::byte_level_bpe: return std::make_unique<ByteLevelBpe>(source);
    case TokenizerSource::Kind::sentencepiece_model:
    case TokenizerSource::Kind::sentencepiece_pieces: return SentencepieceTokenizer::make(source);
    case TokenizerSource::Kind::none: break;
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("[tokenizer] {}", source.unsupported.empty() ? "the model has none" : source.unsupported));
}

Tokenizer::Tokenizer(const TokenizerSource& source, std::vector<std::string> tokens)
    : tokens_(std::move(tokens)), added_(source.added), add_bos_(source.add_bos), add_eos_(source.add_eos) {
  std::size_t size = tokens_.size();
  const auto largest = static_cast<std::int64_t>(size + added_.size()) + kLargestHole;
  for (const files::AddedToken& token : added_) {
    if (token.id < 0 || token.id > largest)
      throw Error(ErrorCode::invalid_file, fmt::format("[tokenizer] added token \"{}\": id {} is out of range",
                                                       files::shown(token.text), token.id));
    size = std::max(size, static_cast<std::size_t>(token.id) + 1);
  }
  tokens_.resize(size);
  control_.resize(size);
  added_index_.assign(size, -1);
  for (std::size_t i = 0; i < std::min(size, source.types.size()); ++i)
    control_[i] = source.types[i] == files::kControl;
  for (std::size_t i = 0; i < added_.size(); ++i) {
    const auto id = static_cast<std::size_t>(added_[i].id);
    if (tokens_[id].empty()) tokens_[id] = added_[i].text;
    added_index_[id] = static_cast<int>(i);
    if (added_[i].special) control_[id] = true;
  }
  splitter_ = AddedTokens(added_);
  bos_ = as_id(source.bos_id, size);
  eos_ = as_id(source.eos_id, size);
  for (const std::optional<int> id : {bos_, eos_})
    if (id) control_[static_cast<std::size_t>(*id)] = true;
}

std::vector<int> Tokenizer::encode(std::string_view text, bool parse_special) const {
  const std::string clean = replace_invalid_utf8(text);
  std::vector<int> ids;
  bool is_first = true;
  for (const Segment& segment : splitter_.split(clean, parse_special)) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
    } else {
      encode_text(segment.text, is_first, ids);
    }
    is_first = false;
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const int> ids, bool with_control, bool continues) const {
  TextStream stream(*this, continues, with_control);
  std::string text;
  for (const int id : ids) text += stream.add(id);
  return text + stream.finish();
}

std::string Tokenizer::piece(int id) const {
  check(id);
  return tokens_[static_cast<std::size_t>(id)];
}

std::string Tokenizer::bytes(int id) const {
  std::string out;
  append_token(id, false, out);
  return out;
}

bool Tokenizer::is_control(int id) const {
  check(id);
  return control_[static_cast<std::size_t>(id)];
}

std::optional<int> Tokenizer::find(std::string_view piece) const {
  const auto found = std::find(tokens_.begin(), tokens_.end(), piece);
  if (piece.empty() || found == tokens_.end()) return std::nullopt;
  return static_cast<int>(found - tokens_.begin());
}

void Tokenizer::append_token(int id, bool with_control, std::string& out) const {
  check(id);
  const auto i = static_cast<std::size_t>(id);
  if (control_[i] && !with_control) return;
  if (added_index_[i] >= 0) {
    out += added_[static_cast<std::size_t>(added_index_[i])].text;
  } else if (control_[i]) {
    out += tokens_[i];
  } else {
    append_bytes(id, out);
  }
}

void Tokenizer::check(int id) const {
  if (id < 0 || id >= vocab_size())
    throw Error(ErrorCode::out_of_range,
                fmt::format("[tokenizer] token {}: the vocabulary has {} tokens", id, vocab_size()));
}

std::string TextStream::add(int id) {
  tokenizer_->append_token(id, with_control_, pending_);
  if (at_start_ && !pending_.empty()) {
    const std::size_t own = tokenizer_->own_prefix(pending_);
    at_start_ = own == pending_.size() && tokenizer_->own_prefix(pending_ + " ") > own;  // more of it may follow
    pending_.erase(0, own);
  }
  return take_utf8(pending_, false);
}

std::string TextStream::finish() { return take_utf8(pending_, true); }

}  // namespace llm
}  // namespace v0
}  // namespace nibble
