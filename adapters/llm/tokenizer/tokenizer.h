#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/tokenizer_source.h"
#include "adapters/llm/tokenizer/added_tokens.h"

namespace nibble {
inline namespace v0 {
namespace llm {

using files::TokenizerSource;

/// Text to token ids and back: sentencepiece (Kudo and Richardson, 2018) or byte-level BPE (Sennrich et al., 2016;
/// Radford et al., 2019). May be used from many threads at once.
class Tokenizer {
 public:
  /// Throws Error(unsupported) where the source has no tokenizer that is understood, Error(invalid_file) where its
  /// parts contradict one another.
  static std::unique_ptr<Tokenizer> make(const TokenizerSource& source);
  virtual ~Tokenizer() = default;

  /// The ids of any bytes at all; ill-formed UTF-8 is read as U+FFFD. Added tokens in the text become their ids;
  /// without `parse_special` the special ones among them are ordinary text. No BOS is put in front: that is the
  /// caller's, see add_bos().
  std::vector<int> encode(std::string_view text, bool parse_special = true) const;

  /// The text of ids, always well-formed UTF-8. Control tokens write nothing unless `with_control`. The space that the
  /// tokenizer puts before a text goes again, unless `continues` an earlier text. Throws Error(out_of_range) for an id
  /// outside the vocabulary.
  std::string decode(std::span<const int> ids, bool with_control = false, bool continues = false) const;

  /// How the vocabulary spells a token: "Ġthe", "▁the", "<0x0A>".
  std::string piece(int id) const;
  /// The bytes that a token writes within a text, which may be part of a character: " the", "\n". None for a control
  /// token.
  std::string bytes(int id) const;
  /// Does the token steer the model rather than stand for text (BOS, "<|im_end|>")?
  bool is_control(int id) const;

  int vocab_size() const { return static_cast<int>(tokens_.size()); }
  std::optional<int> bos() const { return bos_; }
  std::optional<int> eos() const { return eos_; }
  /// The id spelled so in the vocabulary, "<|im_end|>".
  std::optional<int> find(std::string_view piece) const;
  /// Does the model expect BOS before a plain text? EOS behind it?
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }

 protected:
  Tokenizer(const TokenizerSource& source, std::vector<std::string> tokens);

  /// Appends the ids of well-formed text without added tokens. `is_first`: nothing stands before it.
  virtual void encode_text(std::string_view text, bool is_first, std::vector<int>& ids) const = 0;
  /// Appends the bytes of a token that is neither added nor control.
  virtual void append_bytes(int id, std::string& out) const = 0;
  /// How many bytes at the front of a decoded text are the tokenizer's own, not the text's. `text` may be only the
  /// beginning.
  virtual std::size_t own_prefix(std::string_view text) const = 0;

 private:
  friend class TextStream;
  void append_token(int id, bool with_control, std::string& out) const;
  void check(int id) const;

  std::vector<std::string> tokens_;
  std::vector<bool> control_;
  std::vector<int> added_index_;  // by id: index into added_, or -1
  std::vector<files::AddedToken> added_;
  AddedTokens splitter_;
  std::optional<int> bos_, eos_;
  bool add_bos_ = false, add_eos_ = false;
};

/// Decodes token by token and never splits a character: what `add` and `finish` return, put together, is what decode
/// gives for all the ids.
class TextStream {
 public:
  /// `continues`: the first token follows an earlier text (a prompt), so a space before it is the text's own. The
  /// tokenizer must outlive the stream.
  explicit TextStream(const Tokenizer& tokenizer, bool continues = true, bool with_control = false)
      : tokenizer_(&tokenizer), at_start_(!continues), with_control_(with_control) {}

  /// The text that this token completes; often empty.
  std::string add(int id);
  /// What is left: characters that never ended, as U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool at_start_;
  bool with_control_;
  std::string pending_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
