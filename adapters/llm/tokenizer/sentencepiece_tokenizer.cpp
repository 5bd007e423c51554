#include "adapters/llm/tokenizer/sentencepiece_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

#include "adapters/files/token_type.h"
#include "adapters/llm/tokenizer/sentencepiece_model.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

using files::kSpacePiece;
using files::TokenizerSource;
using enum files::TokenType;
using sentencepiece::SentencePieceProcessor;

constexpr std::string_view kUnknownText = " \xE2\x81\x87 ";  // ⁇ U+2047, as sentencepiece writes it

/// `name` is what an error calls the model.
std::unique_ptr<SentencePieceProcessor> load(const std::string& model, std::string_view name) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  if (!is_sound_model(model) || !processor->LoadFromSerializedProto(model).ok() || processor->GetPieceSize() == 0)
    throw Error(ErrorCode::invalid_file, fmt::format("[tokenizer] {}: not a model that sentencepiece loads", name));
  return processor;
}

/// What the source is called in errors.
std::string name_of(const TokenizerSource& source) {
  return source.kind == TokenizerSource::Kind::sentencepiece_model ? source.model_path.string() : "the model's pieces";
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::io_error, fmt::format("[tokenizer] {}: cannot be opened", path.string()));
  return {std::istreambuf_iterator<char>(file), {}};
}

std::int32_t type_of(const SentencePieceProcessor& processor, int id) {
  if (processor.IsUnknown(id)) return kUnknown;
  if (processor.IsControl(id)) return kControl;
  if (processor.IsUnused(id)) return kUnused;
  return processor.IsByte(id) ? kByte : kNormal;
}

std::string joined_pieces(const SentencePieceProcessor& processor, std::string_view text) {
  std::string joined;
  for (const std::string& piece : processor.EncodeAsPieces(text)) joined += piece;
  return joined;
}

/// What the library tells of a .model file. Its normalizer's settings are not public, so they are seen from what it
/// does.
void describe(const SentencePieceProcessor& processor, TokenizerSource& source) {
  source.tokens.clear();
  source.types.clear();
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    source.tokens.push_back(processor.IdToPiece(id));
    source.types.push_back(type_of(processor, id));
  }
  if (!joined_pieces(processor, "a").starts_with(kSpacePiece)) {
    source.prefix = TokenizerSource::Prefix::never;
  } else if (source.prefix != TokenizerSource::Prefix::first) {
    source.prefix = TokenizerSource::Prefix::always;
  }
  source.remove_extra_whitespaces = joined_pieces(processor, "a  a") == joined_pieces(processor, "a a");
  if (!source.bos_id && processor.bos_id() >= 0) source.bos_id = processor.bos_id();
  if (!source.eos_id && processor.eos_id() >= 0) source.eos_id = processor.eos_id();
}

/// The model's own control pieces are found in text, too.
void add_control_pieces(TokenizerSource& source) {
  std::vector<bool> is_added(source.tokens.size());
  for (const files::AddedToken& token : source.added)
    if (token.id >= 0 && token.id < static_cast<std::int64_t>(is_added.size()))
      is_added[static_cast<std::size_t>(token.id)] = true;
  for (std::size_t i = 0; i < source.tokens.size(); ++i)
    if (source.types[i] == kControl && !is_added[i])
      source.added.push_back({.id = static_cast<std::int64_t>(i), .text = source.tokens[i]});
}

/// "<0x0A>" is the byte 10.
char byte_of(std::string_view piece) {
  unsigned value = 0;
  if (piece.size() == 6) std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  return static_cast<char>(static_cast<unsigned char>(value));
}

}  // namespace

std::unique_ptr<Tokenizer> SentencepieceTokenizer::make(const TokenizerSource& original) {
  TokenizerSource source = original;
  std::string model;
  if (source.kind == TokenizerSource::Kind::sentencepiece_model) {
    model = read_file(source.model_path);
    describe(*load(model, name_of(source)), source);
  } else {
    model = serialized_sentencepiece_model(source);
  }
  add_control_pieces(source);
  return std::unique_ptr<Tokenizer>(new SentencepieceTokenizer(source, model));
}

SentencepieceTokenizer::SentencepieceTokenizer(const TokenizerSource& source, const std::string& model)
    : Tokenizer(source, source.tokens),
      first_(load(model, name_of(source))),
      piece_count_(static_cast<int>(source.tokens.size())),
      prefix_(source.prefix),
      remove_extra_whitespaces_(source.remove_extra_whitespaces) {
  if (prefix_ == TokenizerSource::Prefix::first) later_ = load(model + dummy_prefix_override(false), name_of(source));
}

SentencepieceTokenizer::~SentencepieceTokenizer() = default;

void SentencepieceTokenizer::encode_text(std::string_view text, bool is_first, std::vector<int>& ids) const {
  const Processor& processor = is_first || later_ == nullptr ? *first_ : *later_;
  std::vector<int> found;
  if (const auto status = processor.Encode(text, &found); !status.ok())
    throw Error(ErrorCode::invalid_argument, fmt::format("[tokenizer] {}", status.message()));
  ids.insert(ids.end(), found.begin(), found.end());
}

void SentencepieceTokenizer::append_bytes(int id, std::string& out) const {
  if (id >= piece_count_) return;
  if (first_->IsUnknown(id)) {
    out += kUnknownText;
    return;
  }
  const std::string& piece = first_->IdToPiece(id);
  if (first_->IsByte(id)) {
    out += byte_of(piece);
    return;
  }
  std::string_view rest = piece;
  for (std::size_t at = rest.find(kSpacePiece); at != rest.npos; at = rest.find(kSpacePiece)) {
    out += rest.substr(0, at);
    out += ' ';
    rest.remove_prefix(at + kSpacePiece.size());
  }
  out += rest;
}

std::size_t SentencepieceTokenizer::own_prefix(std::string_view text) const {
  if (prefix_ == TokenizerSource::Prefix::never) return 0;
  const std::size_t spaces = std::min(text.find_first_not_of(' '), text.size());
  return remove_extra_whitespaces_ ? spaces : std::min<std::size_t>(spaces, 1);
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
