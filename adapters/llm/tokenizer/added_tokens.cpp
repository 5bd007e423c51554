#include "adapters/llm/tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "adapters/llm/tokenizer/utf8.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  return (begin == 0 || !is_word_byte(text[begin - 1])) && (end == text.size() || !is_word_byte(text[end]));
}

std::string_view without_trailing_space(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpace) + 1);  // npos + 1 is 0
}

}  // namespace

AddedTokens::AddedTokens(std::vector<files::AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const files::AddedToken& token) { return token.text.empty(); });
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const files::AddedToken& a, const files::AddedToken& b) {
    return a.text.size() > b.text.size();
  });
  for (std::size_t i = 0; i < tokens_.size(); ++i)
    by_first_byte_[static_cast<unsigned char>(tokens_[i].text[0])].push_back(i);
}

const files::AddedToken* AddedTokens::match(std::string_view text, std::size_t at, bool parse_special) const {
  for (const std::size_t i : by_first_byte_[static_cast<unsigned char>(text[at])]) {
    const files::AddedToken& token = tokens_[i];
    if (token.special && !parse_special) continue;
    if (!text.substr(at).starts_with(token.text)) continue;
    if (token.single_word && !stands_alone(text, at, at + token.text.size())) continue;
    return &token;
  }
  return nullptr;
}

std::vector<Segment> AddedTokens::split(std::string_view text, bool parse_special) const {
  std::vector<Segment> segments;
  const auto add_text = [&](std::string_view part) {
    if (!part.empty()) segments.push_back({part, -1});
  };
  std::size_t text_begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const files::AddedToken* token = match(text, at, parse_special);
    if (token == nullptr) {
      ++at;
      continue;
    }
    const std::string_view before = text.substr(text_begin, at - text_begin);
    add_text(token->lstrip ? without_trailing_space(before) : before);
    segments.push_back({{}, static_cast<int>(token->id)});
    at += token->text.size();
    if (token->rstrip) at = std::min(text.find_first_not_of(kSpace, at), text.size());
    text_begin = at;
  }
  add_text(text.substr(text_begin));
  return segments;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
