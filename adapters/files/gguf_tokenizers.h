#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// What GGUF's metadata calls tokenizers and their parts.
namespace nibble {
inline namespace v0 {
namespace files {

inline std::string tokenizer_key(std::string_view name) { return "tokenizer.ggml." + std::string(name); }

/// What llama.cpp's converter writes for an id that no token has.
inline std::string gguf_hole(std::size_t id) { return "[PAD" + std::to_string(id) + "]"; }

/// What tokenizer.ggml.pre stands for: the tokenizer.json of the models that a file of that name was made from. Of
/// names for the same, the first is what is written.
struct GgufPreTokenizer {
  std::string_view name, rule;
  bool ignore_merges = false, split_digits = false, nfc = false;
};
inline constexpr GgufPreTokenizer kGgufPreTokenizers[] = {
    {.name = "llama-bpe", .rule = "llama3", .ignore_merges = true},
    {.name = "llama3", .rule = "llama3", .ignore_merges = true},
    {.name = "llama-v3", .rule = "llama3", .ignore_merges = true},
    {.name = "dbrx", .rule = "llama3"},
    {.name = "smaug-bpe", .rule = "llama3"},
    {.name = "qwen2", .rule = "qwen2", .nfc = true},
    {.name = "deepseek-r1-qwen", .rule = "qwen2"},
    {.name = "megrez", .rule = "qwen2"},
    {.name = "smollm", .rule = "smollm", .split_digits = true},
    {.name = "gpt-2", .rule = "gpt-2"},
    {.name = "gpt2", .rule = "gpt-2"},
    {.name = "default", .rule = "gpt-2"},
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
