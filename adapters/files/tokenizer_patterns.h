#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace files {

/// The regular expressions by which byte-level tokenizers cut text into words, as their tokenizer.json files have them.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// "gpt-2", "llama3", "qwen2", "smollm", or empty for other rules.
inline std::string pre_tokenizer_name(const std::vector<std::string>& patterns, bool split_digits) {
  if (patterns.size() != 1) return {};
  if (patterns[0] == kGpt2Pattern) return split_digits ? "smollm" : "gpt-2";
  if (split_digits) return {};
  if (patterns[0] == kLlama3Pattern) return "llama3";
  if (patterns[0] == kQwen2Pattern) return "qwen2";
  return {};
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
