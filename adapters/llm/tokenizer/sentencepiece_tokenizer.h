#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/llm/tokenizer/tokenizer.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace nibble {
inline namespace v0 {
namespace llm {

/// libsentencepiece behind Tokenizer: from a .model file, or from pieces.
class SentencepieceTokenizer final : public Tokenizer {
 public:
  static std::unique_ptr<Tokenizer> make(const TokenizerSource& source);
  ~SentencepieceTokenizer() override;

 private:
  using Processor = sentencepiece::SentencePieceProcessor;
  /// `source` has all pieces and types, `prefix` included, whichever kind it came from.
  SentencepieceTokenizer(const TokenizerSource& source, const std::string& model);

  void encode_text(std::string_view text, bool is_first, std::vector<int>& ids) const override;
  void append_bytes(int id, std::string& out) const override;
  std::size_t own_prefix(std::string_view text) const override;

  std::unique_ptr<Processor> first_,
      later_;  // for the text's beginning, and for what follows an added token; later_ may be empty: first_
  int piece_count_ = 0;
  TokenizerSource::Prefix prefix_;
  bool remove_extra_whitespaces_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
