#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "adapters/files/tokenizer_source.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// A stretch of text, or an added token that stood there.
struct Segment {
  std::string_view text;  ///< empty for a token
  int id = -1;            ///< the token, or -1 for text
};

/// Finds the added tokens in raw text before the tokenizer proper sees it: from left to right, the longest where
/// several begin.
/// (`normalized` tokens are looked for in the raw text as well; white space that lstrip and rstrip swallow is ASCII's.)
class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<files::AddedToken> tokens);

  /// The text's segments in order, none empty. Without `parse_special`, special tokens are ordinary text.
  std::vector<Segment> split(std::string_view text, bool parse_special) const;

 private:
  const files::AddedToken* match(std::string_view text, std::size_t at, bool parse_special) const;

  std::vector<files::AddedToken> tokens_;                    // longest first
  std::array<std::vector<std::size_t>, 256> by_first_byte_;  // indices into tokens_, longest first
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
