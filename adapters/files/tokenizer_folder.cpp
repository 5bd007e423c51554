#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "adapters/files/added_tokens.h"
#include "adapters/files/file_error.h"
#include "adapters/files/gguf.h"
#include "adapters/files/json_events.h"
#include "adapters/files/mapped_file.h"
#include "adapters/files/paths.h"
#include "adapters/files/token_index.h"
#include "adapters/files/token_type.h"
#include "adapters/files/tokenizer_source.h"
#include "adapters/files/vocabulary.h"

namespace nibble {
inline namespace v0 {
namespace files {

namespace fs = std::filesystem;

TokenizerSource read_vocab_and_merges(const fs::path& vocab, const fs::path& merges) {
  TokenizerSource out;
  out.kind = TokenizerSource::Kind::byte_level_bpe;
  out.pre_tokenizer = "gpt-2";
  Vocabulary vocabulary(vocab);
  const auto vocab_file = MappedFile::open(vocab);
  stream_json(vocab_file->text(), vocab, [&](JsonLeaf& leaf) {
    if (leaf.path.size() != 1 || !leaf.is_integer()) bad_file(vocab, "", "is not an object of token ids");
    vocabulary.add(leaf.path[0].key, leaf.integer);
  });
  out.tokens = vocabulary.take();
  out.types.assign(out.tokens.size(), kNormal);
  const TokenIndex index(out.tokens);
  const auto merges_file = MappedFile::open(merges);
  std::string_view text = merges_file->text();
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const auto pair = index.merge(line);
    if (!pair) bad_file(merges, "", fmt::format("\"{}\" does not name two tokens", shown(line)));
    out.merges.push_back(*pair);
  }
  return out;
}

namespace {

constexpr std::uint64_t kLargestTemplate = 1 << 20;

/// What tokenizer_config.json and its kin say of a token by its role: its text, resolved to an id at the end.
struct Roles {
  std::string bos, eos, unk, pad;
  std::optional<bool> add_bos, add_eos, add_prefix_space, legacy;
  std::string tokenizer_class;
};

void set_role(std::string_view role, std::string text, Roles* roles) {
  if (role == "bos_token") roles->bos = std::move(text);
  if (role == "eos_token") roles->eos = std::move(text);
  if (role == "unk_token") roles->unk = std::move(text);
  if (role == "pad_token") roles->pad = std::move(text);
}

std::set<std::int64_t> ids_of(const std::vector<AddedToken>& tokens) {
  std::set<std::int64_t> ids;
  for (const AddedToken& token : tokens) ids.insert(token.id);
  return ids;
}

/// tokenizer_config.json: roles, flags, template, and "added_tokens_decoder": {id: {content, special, …}}.
void read_tokenizer_config(const fs::path& file, Roles* roles, TokenizerSource* out) {
  const auto mapped = MappedFile::open(file);
  std::vector<AddedToken> added;
  std::string template_name;
  stream_json(mapped->text(), file, [&](JsonLeaf& leaf) {
    const auto& path = leaf.path;
    const std::string_view top = path[0].key;
    if (top == "added_tokens_decoder" && path.size() == 3) {
      const std::int64_t id = std::strtoll(path[1].key.c_str(), nullptr, 10);
      if (added.empty() || added.back().id != id) {
        add_token(file, &added).id = id;
        added.back().special = false;
      }
      take_member(leaf, &added.back());
    } else if (top == "chat_template") {
      if (path.size() == 1 && leaf.is_text()) out->chat_template = std::move(leaf.text);
      // A list of {"name", "template"}: the one named default.
      if (path.size() == 3 && path[2].is("name")) template_name = std::move(leaf.text);
      if (path.size() == 3 && path[2].is("template") && template_name == "default")
        out->chat_template = std::move(leaf.text);
    } else if (path.size() == 1 || (path.size() == 2 && path[1].is("content"))) {
      if (leaf.is_text()) set_role(top, leaf.text, roles);
      if (top == "tokenizer_class" && leaf.is_text()) roles->tokenizer_class = std::move(leaf.text);
      if (leaf.kind != JsonLeaf::Kind::boolean) return;
      if (top == "add_bos_token") roles->add_bos = leaf.truth;
      if (top == "add_eos_token") roles->add_eos = leaf.truth;
      if (top == "add_prefix_space") roles->add_prefix_space = leaf.truth;
      if (top == "legacy") roles->legacy = leaf.truth;
    }
  });
  const std::set<std::int64_t> known = ids_of(out->added);
  for (AddedToken& token : added) {
    if (!known.contains(token.id) && !token.text.empty()) add_token(file, &out->added) = std::move(token);
  }
}

/// special_tokens_map.json: {"eos_token": text or {"content": text}}; only roles that nothing else has named.
void read_special_tokens_map(const fs::path& file, Roles* roles) {
  const auto mapped = MappedFile::open(file);
  Roles found;
  stream_json(mapped->text(), file, [&](JsonLeaf& leaf) {
    const bool is_role = leaf.path.size() == 1 || (leaf.path.size() == 2 && leaf.path[1].is("content"));
    if (is_role && leaf.is_text()) set_role(leaf.path[0].key, std::move(leaf.text), &found);
  });
  for (auto member : {&Roles::bos, &Roles::eos, &Roles::unk, &Roles::pad}) {
    if ((roles->*member).empty()) roles->*member = std::move(found.*member);
  }
}

/// added_tokens.json: {text: id}.
void read_added_tokens(const fs::path& file, TokenizerSource* out) {
  const auto mapped = MappedFile::open(file);
  std::set<std::int64_t> known = ids_of(out->added);
  stream_json(mapped->text(), file, [&](JsonLeaf& leaf) {
    if (leaf.path.size() != 1 || !leaf.is_integer()) bad_file(file, "", "is not an object of token ids");
    if (!known.insert(leaf.integer).second) return;
    AddedToken& token = add_token(file, &out->added);
    token.id = leaf.integer;
    token.text = leaf.path[0].key;
    token.special = token.text.starts_with('<') && token.text.ends_with('>');
  });
}

void resolve_roles(const Roles& roles, TokenizerSource* out) {
  const auto id_of = [&](const std::string& text) -> std::optional<std::int64_t> {
    if (text.empty()) return {};
    for (const AddedToken& token : out->added) {
      if (token.text == text) return token.id;
    }
    const auto found = std::ranges::find(out->tokens, text);
    if (found == out->tokens.end()) return {};
    return found - out->tokens.begin();
  };
  const auto set = [&](std::optional<std::int64_t>* id, const std::string& text) {
    if (const auto found = id_of(text)) *id = found;
  };
  set(&out->bos_id, roles.bos);
  set(&out->eos_id, roles.eos);
  set(&out->unk_id, roles.unk);
  set(&out->pad_id, roles.pad);
}

TokenizerSource read_base(const fs::path& folder) {
  if (fs::exists(folder / "tokenizer.json")) return read_tokenizer_json(folder / "tokenizer.json");
  TokenizerSource out;
  if (fs::exists(folder / "tokenizer.model")) {
    out.kind = TokenizerSource::Kind::sentencepiece_model;
    out.model_path = folder / "tokenizer.model";
    out.prefix = TokenizerSource::Prefix::first;
    out.add_bos = true;
    return out;
  }
  if (fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt"))
    return read_vocab_and_merges(folder / "vocab.json", folder / "merges.txt");
  out.unsupported =
      fmt::format("{}: has no tokenizer.json, tokenizer.model or vocab.json with merges.txt", folder.string());
  return out;
}

/// A tokenizer.json carries its own pre-tokenizer, normalizer and post-processor; the other files leave them to the
/// class.
void apply_class(const Roles& roles, TokenizerSource* out) {
  const std::string_view name = roles.tokenizer_class;
  if (out->kind == TokenizerSource::Kind::byte_level_bpe && name.starts_with("Qwen2")) {
    out->pre_tokenizer = "qwen2";
    out->nfc = true;
  }
  if (roles.add_prefix_space && out->kind == TokenizerSource::Kind::byte_level_bpe) {
    out->prefix = *roles.add_prefix_space ? TokenizerSource::Prefix::first : TokenizerSource::Prefix::never;
  }
}

}  // namespace

TokenizerSource read_tokenizer_folder(const fs::path& folder) {
  TokenizerSource out = read_base(folder);
  if (out.kind == TokenizerSource::Kind::none && fs::exists(folder / "tokenizer.json")) return out;
  const bool is_complete = fs::exists(folder / "tokenizer.json");
  Roles roles;
  const fs::path config = folder / "tokenizer_config.json";
  if (fs::exists(config)) read_tokenizer_config(config, &roles, &out);
  if (fs::exists(folder / "special_tokens_map.json"))
    read_special_tokens_map(folder / "special_tokens_map.json", &roles);
  if (fs::exists(folder / "added_tokens.json") && !is_complete) read_added_tokens(folder / "added_tokens.json", &out);
  if (fs::exists(folder / "chat_template.jinja"))
    out.chat_template = read_small_file(folder / "chat_template.jinja", kLargestTemplate);
  if (out.kind == TokenizerSource::Kind::none) return out;
  const bool is_llama = roles.tokenizer_class.starts_with("Llama");  // rebuilds its post-processor from these keys
  if (is_llama && is_complete && roles.add_bos) out.add_bos = *roles.add_bos;
  if (is_llama && is_complete && roles.add_eos) out.add_eos = *roles.add_eos;
  if (!is_complete) {
    apply_class(roles, &out);
    // The slow tokenizers read these keys; a tokenizer.json says the same by its post-processor.
    if (roles.add_bos) out.add_bos = *roles.add_bos;
    if (roles.add_eos) out.add_eos = *roles.add_eos;
  }
  // (A .model file's own pieces are read by who encodes.)
  if (out.kind != TokenizerSource::Kind::sentencepiece_model) enter_added_tokens(config, &out);
  resolve_roles(roles, &out);
  return out;
}

TokenizerSource read_tokenizer(const fs::path& model) {
  if (model.extension() == ".gguf" && !fs::is_directory(model)) return read_tokenizer_gguf(GgufFile(model));
  return read_tokenizer_folder(folder_of_model(model));
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
