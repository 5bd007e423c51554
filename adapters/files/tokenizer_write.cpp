#include "adapters/files/tokenizer_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/token_index.h"
#include "adapters/files/token_type.h"
#include "adapters/files/tokenizer_patterns.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using nlohmann::ordered_json;
using Merge = std::array<std::int32_t, 2>;

/// Where a text is not UTF-8, U+FFFD stands for what is not.
std::string dumped(const ordered_json& value, int indent = -1) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}
std::string json_quoted(std::string_view text) { return dumped(text); }

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Every way to make a piece of two others, best score first; of one score the longer left part, then the longer right
/// part. (transformers/convert_slow_tokenizer.py, generate_merges)
std::vector<Merge> merges_of_pieces(const TokenizerSource& source) {
  struct Candidate {
    Merge merge;
    float score;
    std::size_t left, right;
  };
  const TokenIndex index(source.tokens);
  std::vector<Candidate> all;
  for (std::size_t id = 0; id < source.tokens.size(); ++id) {
    if (source.types[id] != kNormal) continue;
    const std::string_view piece = source.tokens[id];
    std::vector<Candidate> of_piece;
    for (std::size_t cut = 1; cut < piece.size(); ++cut) {
      if ((static_cast<unsigned char>(piece[cut]) & 0xc0) == 0x80) continue;  // inside a character
      const auto left = index.find(piece.substr(0, cut)), right = index.find(piece.substr(cut));
      if (!left || !right) continue;
      of_piece.push_back(
          {{*left, *right}, source.scores[id], characters(piece.substr(0, cut)), characters(piece.substr(cut))});
    }
    std::ranges::sort(of_piece, {}, &Candidate::merge);
    all.insert(all.end(), of_piece.begin(), of_piece.end());
  }
  std::ranges::stable_sort(all, std::greater<>(),
                           [](const Candidate& c) { return std::tuple(c.score, c.left, c.right); });
  std::vector<Merge> merges;
  for (const Candidate& candidate : all) merges.push_back(candidate.merge);
  return merges;
}

ordered_json added_tokens_json(const TokenizerSource& source) {
  ordered_json list = ordered_json::array();
  for (const AddedToken& token : source.added) {
    list.push_back({{"id", token.id},
                    {"content", token.text},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  }
  return list;
}

/// Puts BOS in front and EOS behind, where the tokenizer does so by itself.
ordered_json template_processing(const TokenizerSource& source) {
  ordered_json single = ordered_json::array(), pair = ordered_json::array(), specials = ordered_json::object();
  const auto special = [&](std::int64_t id, int type, ordered_json* list) {
    const std::string text = source.tokens[static_cast<std::size_t>(id)];
    list->push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
    specials[text] = {{"id", text}, {"ids", ordered_json::array({id})}, {"tokens", ordered_json::array({text})}};
  };
  const auto sequence = [&](const char* name, int type, ordered_json* list) {
    if (source.add_bos && source.bos_id) special(*source.bos_id, type, list);
    list->push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    if (source.add_eos && source.eos_id) special(*source.eos_id, type, list);
  };
  sequence("A", 0, &single);
  sequence("A", 0, &pair);
  sequence("B", 1, &pair);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
}

ordered_json byte_level(bool add_prefix_space, bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

ordered_json byte_level_pre_tokenizer(const TokenizerSource& source) {
  const bool prefix = source.prefix != TokenizerSource::Prefix::never;
  const auto split_by = [&](std::string_view pattern) {
    return ordered_json{
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  };
  ordered_json stages = ordered_json::array();
  if (source.split_digits) stages.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (source.pre_tokenizer == "gpt-2" || source.pre_tokenizer == "smollm") {
    stages.push_back(byte_level(prefix, true));
    return stages.size() == 1 ? stages[0] : ordered_json{{"type", "Sequence"}, {"pretokenizers", stages}};
  }
  if (source.pre_tokenizer == "llama3")
    stages.push_back(split_by(kLlama3Pattern));
  else if (source.pre_tokenizer == "qwen2")
    stages.push_back(split_by(kQwen2Pattern));
  else
    for (const std::string& pattern : source.patterns) stages.push_back(split_by(pattern));
  stages.push_back(byte_level(prefix, false));
  return {{"type", "Sequence"}, {"pretokenizers", stages}};
}

/// Everything but the model.
ordered_json byte_level_sections(const TokenizerSource& source) {
  ordered_json out;
  out["normalizer"] = source.nfc ? ordered_json{{"type", "NFC"}} : ordered_json(nullptr);
  out["pre_tokenizer"] = byte_level_pre_tokenizer(source);
  if (source.add_bos || source.add_eos) {
    out["post_processor"] = {{"type", "Sequence"},
                             {"processors", {byte_level(true, true), template_processing(source)}}};
  } else {
    out["post_processor"] = byte_level(true, true);
  }
  out["decoder"] = byte_level(true, true);
  return out;
}

ordered_json pieces_sections(const TokenizerSource& source) {
  ordered_json out;
  const ordered_json escape{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpacePiece}};
  ordered_json decoders =
      ordered_json::array({{{"type", "Replace"}, {"pattern", {{"String", kSpacePiece}}}, {"content", " "}},
                           {{"type", "ByteFallback"}},
                           {{"type", "Fuse"}}});
  if (source.prefix == TokenizerSource::Prefix::never) {
    out["normalizer"] = escape;
  } else {
    out["normalizer"] = {{"type", "Sequence"},
                         {"normalizers", {{{"type", "Prepend"}, {"prepend", kSpacePiece}}, escape}}};
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  out["pre_tokenizer"] = nullptr;
  out["post_processor"] = template_processing(source);
  out["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  return out;
}

/// Written piece by piece: as a document the vocabulary would take many times its text.
std::string model_json(const TokenizerSource& source, const std::vector<Merge>& merges, bool byte_fallback) {
  std::string out = R"({"type":"BPE","dropout":null,"unk_token":)";
  const bool has_unk = byte_fallback && source.unk_id;
  out += has_unk ? json_quoted(source.tokens[static_cast<std::size_t>(*source.unk_id)]) : "null";
  out += fmt::format(
      R"(,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":{0},"byte_fallback":{0},"ignore_merges":{1},"vocab":{{)",
      byte_fallback, source.ignore_merges);
  const char* comma = "";
  for (std::size_t id = 0; id < source.tokens.size(); ++id) {
    if (source.tokens[id].empty()) continue;
    out += fmt::format("{}{}:{}", std::exchange(comma, ","), json_quoted(source.tokens[id]), id);
  }
  out += R"(},"merges":[)";
  comma = "";
  for (const auto& [left, right] : merges) {
    out +=
        fmt::format("{}[{},{}]", std::exchange(comma, ","), json_quoted(source.tokens[static_cast<std::size_t>(left)]),
                    json_quoted(source.tokens[static_cast<std::size_t>(right)]));
  }
  out += "]}";
  return out;
}

}  // namespace

std::string write_tokenizer_json(const TokenizerSource& source) {
  const bool is_pieces = source.kind == TokenizerSource::Kind::sentencepiece_pieces;
  if (!is_pieces && source.kind != TokenizerSource::Kind::byte_level_bpe) {
    throw Error(ErrorCode::unsupported,
                fmt::format("[tokenizer.json] cannot be written: {}", shown(source.unsupported)));
  }
  const ordered_json sections = is_pieces ? pieces_sections(source) : byte_level_sections(source);
  std::string out = fmt::format(R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":{})",
                                dumped(added_tokens_json(source)));
  for (const auto& [name, value] : sections.items()) out += fmt::format(",{}:{}", json_quoted(name), dumped(value));
  const bool has_merges = !source.merges.empty() || !is_pieces;
  out += fmt::format(",\"model\":{}}}\n",
                     model_json(source, has_merges ? source.merges : merges_of_pieces(source), is_pieces));
  return out;
}

std::size_t tokens_not_utf8(const TokenizerSource& source) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  return static_cast<std::size_t>(std::ranges::count_if(source.tokens, [&](const std::string& token) {
    return token.find(kReplacement) == token.npos && json_quoted(token).find(kReplacement) != token.npos;
  }));
}

std::string write_tokenizer_config(const TokenizerSource& source) {
  ordered_json out{{"tokenizer_class", "PreTrainedTokenizerFast"},
                   {"clean_up_tokenization_spaces", false},
                   {"add_bos_token", source.add_bos},
                   {"add_eos_token", source.add_eos}};
  const auto role = [&](const char* name, const std::optional<std::int64_t>& id) {
    if (id && static_cast<std::size_t>(*id) < source.tokens.size())
      out[name] = source.tokens[static_cast<std::size_t>(*id)];
  };
  role("bos_token", source.bos_id);
  role("eos_token", source.eos_id);
  role("unk_token", source.unk_id);
  role("pad_token", source.pad_id);
  ordered_json decoder = ordered_json::object();
  for (const AddedToken& token : source.added) {
    decoder[std::to_string(token.id)] = {
        {"content", token.text},  {"lstrip", token.lstrip},           {"normalized", token.normalized},
        {"rstrip", token.rstrip}, {"single_word", token.single_word}, {"special", token.special}};
  }
  out["added_tokens_decoder"] = std::move(decoder);
  if (!source.chat_template.empty()) out["chat_template"] = source.chat_template;
  return dumped(out, 2) + "\n";
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
