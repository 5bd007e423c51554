#pragma once

#include <filesystem>

#include "adapters/files/json_events.h"
#include "adapters/files/tokenizer_source.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// Takes one member of an added token's JSON object: its text, or a flag.
void take_member(JsonLeaf& leaf, AddedToken* token);

/// One more of them. Throws Error(invalid_file) where there are more than any tokenizer has.
AddedToken& add_token(const std::filesystem::path& origin, std::vector<AddedToken>* added);

/// Added tokens have their place in the vocabulary too, and need not be in it already. Throws Error(invalid_file) for
/// an id far beyond it.
void enter_added_tokens(const std::filesystem::path& origin, TokenizerSource* source);

}  // namespace files
}  // namespace v0
}  // namespace nibble
