#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace files {

/// A token that is found in the text before the tokenizer proper sees it.
struct AddedToken {
  std::int64_t id = 0;
  std::string text;          ///< plain UTF-8
  bool special = true;       ///< a control token: not printed when decoding
  bool lstrip = false;       ///< swallows white space before it
  bool rstrip = false;       ///< swallows white space after it
  bool normalized = false;   ///< looked for in the normalized text
  bool single_word = false;  ///< only between word boundaries
};

/// Everything that a checkpoint says of its tokenizer, read but not interpreted: the algorithm is adapters/llm's.
struct TokenizerSource {
  enum class Kind : std::uint8_t {
    none,                  ///< there is no tokenizer, or none that is understood: `unsupported` says why
    sentencepiece_model,   ///< `model_path` names a sentencepiece .model; the added tokens below go on top
    sentencepiece_pieces,  ///< a sentencepiece BPE model with byte fallback, as arrays (GGUF "llama", tokenizer.json)
    byte_level_bpe,        ///< GPT-2's: pieces and merges are spelled in its byte alphabet ("Ġthe")
  };
  Kind kind = Kind::none;
  std::string unsupported;           ///< for Kind::none: one line that says why
  std::filesystem::path model_path;  ///< for sentencepiece_model

  /// By id; a hole in the ids is an empty string. Includes the added tokens.
  std::vector<std::string> tokens;
  /// sentencepiece_pieces: the higher the score of the piece that a merge makes, the earlier it is made. From a
  /// tokenizer.json, minus the rank of the first merge that makes the piece (−1e9 where none does).
  std::vector<float> scores;
  /// As sentencepiece and GGUF number them: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
  std::vector<std::int32_t> types;
  /// byte_level_bpe (and sentencepiece_pieces from a tokenizer.json): ids of the left and right piece, first merge
  /// first. Their concatenation is a token.
  std::vector<std::array<std::int32_t, 2>> merges;
  /// Pieces that are tokens as a whole are taken before any merge (tokenizer.json's ignore_merges; Llama 3).
  bool ignore_merges = false;

  /// How text is cut into words before merging, for byte_level_bpe: a rule's name where one is known: "gpt-2",
  /// "llama3", "qwen2", "smollm"; else empty, and `patterns` holds the regular expressions in order, each an isolating
  /// split.
  std::string pre_tokenizer;
  std::vector<std::string> patterns;
  /// Every digit alone, before the patterns (tokenizer.json's Digits pre-tokenizer; SmolLM).
  bool split_digits = false;
  bool nfc = false;  ///< Unicode NFC first (Qwen)

  /// Where a space is put before the text: sentencepiece's dummy prefix, ByteLevel's add_prefix_space. `first`: only at
  /// the beginning of the text, `always`: also behind each added token.
  enum class Prefix : std::uint8_t { never, first, always };
  Prefix prefix = Prefix::never;
  /// sentencepiece: runs of spaces become one, spaces at both ends go.
  bool remove_extra_whitespaces = false;

  std::vector<AddedToken> added;
  std::optional<std::int64_t> bos_id, eos_id, unk_id, pad_id;
  bool add_bos = false;  ///< the tokenizer itself puts BOS first
  bool add_eos = false;
  std::string chat_template;  ///< Jinja text; empty when there is none
  std::string bos_text() const { return text_of(bos_id); }
  std::string eos_text() const { return text_of(eos_id); }

 private:
  std::string text_of(std::optional<std::int64_t> id) const {
    if (!id || *id < 0) return {};
    for (const AddedToken& token : added)
      if (token.id == *id) return token.text;
    return static_cast<std::size_t>(*id) < tokens.size() ? tokens[static_cast<std::size_t>(*id)] : std::string();
  }
};

class GgufFile;

/// The tokenizer of a model folder: tokenizer.json, or tokenizer.model, or vocab.json and merges.txt, with what
/// tokenizer_config.json, added_tokens.json, special_tokens_map.json and chat_template.jinja add. Kind::none where
/// there is no such file; throws Error(invalid_file) where one is damaged.
TokenizerSource read_tokenizer_folder(const std::filesystem::path& folder);
/// From a tokenizer.json alone.
TokenizerSource read_tokenizer_json(const std::filesystem::path& path);
/// From vocab.json and merges.txt alone.
TokenizerSource read_vocab_and_merges(const std::filesystem::path& vocab, const std::filesystem::path& merges);
/// From a GGUF's metadata.
TokenizerSource read_tokenizer_gguf(const GgufFile& file);
/// A .gguf file's, or a folder's.
TokenizerSource read_tokenizer(const std::filesystem::path& model);

}  // namespace files
}  // namespace v0
}  // namespace nibble
