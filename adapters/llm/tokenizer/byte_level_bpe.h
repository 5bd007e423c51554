#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adapters/llm/tokenizer/pre_tokenizer.h"
#include "adapters/llm/tokenizer/tokenizer.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// GPT-2's tokenizer (Radford et al., 2019): text is cut into words; a word begins as its bytes, and neighbours merge,
/// the pair of lowest rank first. A byte that has no token (SmolLM2 lacks some control characters) is left out, as
/// Hugging Face's and llama.cpp's do: their unknown token is often a control token, which no text may become.
class ByteLevelBpe final : public Tokenizer {
 public:
  explicit ByteLevelBpe(const TokenizerSource& source);

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;  // of the merged token
  };

  void encode_text(std::string_view text, bool is_first, std::vector<int>& ids) const override;
  void append_bytes(int id, std::string& out) const override;
  std::size_t own_prefix(std::string_view text) const override;

  void read_vocabulary(const TokenizerSource& source);
  void read_merges(const TokenizerSource& source);
  void encode_word(std::string_view word, std::vector<int>& ids) const;
  void merge(std::vector<int>& word) const;
  const Merge* find_merge(int left, int right) const;

  PreTokenizer pre_tokenizer_;
  std::vector<std::string> bytes_;                      // of each token
  std::array<int, 256> byte_ids_;                       // the token of a single byte, or -1
  std::unordered_map<std::uint64_t, Merge> merges_;     // by left << 32 | right
  std::unordered_map<std::string_view, int> by_bytes_;  // only under ignore_merges; views into bytes_
  TokenizerSource::Prefix prefix_;
  bool ignore_merges_;
  bool nfc_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
