#include "adapters/files/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "adapters/files/file_error.h"
#include "adapters/files/token_type.h"
#include "adapters/files/vocabulary.h"

namespace nibble {
inline namespace v0 {
namespace files {

void take_member(JsonLeaf& leaf, AddedToken* token) {
  const std::string_view member = leaf.path.back().key;
  if (member == "content" && leaf.is_text()) token->text = std::move(leaf.text);
  if (member == "special") token->special = leaf.truth;
  if (member == "lstrip") token->lstrip = leaf.truth;
  if (member == "rstrip") token->rstrip = leaf.truth;
  if (member == "normalized") token->normalized = leaf.truth;
  if (member == "single_word") token->single_word = leaf.truth;
}

AddedToken& add_token(const std::filesystem::path& origin, std::vector<AddedToken>* added) {
  constexpr std::size_t kMost = 65536;  // each takes more room here than in the file
  if (added->size() == kMost) bad_file(origin, "", fmt::format("has more than {} added tokens", kMost));
  return added->emplace_back();
}

void enter_added_tokens(const std::filesystem::path& origin, TokenizerSource* source) {
  std::ranges::stable_sort(source->added, {}, &AddedToken::id);
  // All of them together: a hole behind each would be another's vocabulary.
  const auto count = static_cast<std::int64_t>(source->tokens.size() + source->added.size());
  for (const AddedToken& token : source->added) {
    if (token.id < 0 || token.id > count + Vocabulary::kLargestHole) {
      bad_file(origin, token.text, fmt::format("added token has id {} beside {} tokens", token.id, count));
    }
    const auto id = static_cast<std::size_t>(token.id);
    if (id >= source->tokens.size()) {
      source->tokens.resize(id + 1);
      source->types.resize(id + 1, kUnused);
      if (!source->scores.empty()) source->scores.resize(id + 1, 0);
    }
    source->tokens[id] = token.text;
    if (source->types[id] != kUnknown) source->types[id] = token.special ? kControl : kUserDefined;
  }
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
