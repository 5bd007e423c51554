#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "adapters/files/added_tokens.h"
#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/mapped_file.h"
#include "adapters/files/token_index.h"
#include "adapters/files/token_type.h"
#include "adapters/files/tokenizer_patterns.h"
#include "adapters/files/tokenizer_source.h"
#include "adapters/files/vocabulary.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// One member of a normalizer, pre_tokenizer or decoder (a Sequence's, or the only one).
struct Stage {
  std::string type;
  std::string regex, literal, content, behavior, scheme;
  std::optional<bool> add_prefix_space, use_regex, individual_digits, split, invert;
};

/// The stages of one section, filled leaf by leaf.
class Section {
 public:
  explicit Section(std::string_view list) : list_(list) {}

  void take(JsonLeaf& leaf) {
    const auto& path = leaf.path;
    if (path.size() < 2) return;
    std::size_t depth = 1;
    std::size_t stage = 0;
    if (path[1].is(list_) && path.size() >= 4) {
      stage = static_cast<std::size_t>(path[2].index);
      depth = 3;
    }
    if (stage >= 64) return;
    if (stages_.size() <= stage) stages_.resize(stage + 1);
    set(&stages_[stage], path, depth, leaf);
  }

  /// Without the Sequence itself.
  std::vector<Stage> stages() const {
    std::vector<Stage> out;
    for (const Stage& stage : stages_) {
      if (stage.type != "Sequence" && !stage.type.empty()) out.push_back(stage);
    }
    return out;
  }

 private:
  void set(Stage* stage, const JsonPath& path, std::size_t depth, JsonLeaf& leaf) {
    const std::string_view field = path[depth].key;
    if (path.size() == depth + 2 && field == "pattern") {
      (path[depth + 1].is("Regex") ? stage->regex : stage->literal) = std::move(leaf.text);
    }
    if (path.size() != depth + 1) return;
    if (field == "type" && !(stage->type.size() && leaf.text == "Sequence")) stage->type = std::move(leaf.text);
    if (field == "content" || field == "prepend") stage->content = std::move(leaf.text);
    if (field == "behavior") stage->behavior = std::move(leaf.text);
    if (field == "prepend_scheme") stage->scheme = std::move(leaf.text);
    if (leaf.kind != JsonLeaf::Kind::boolean) return;
    if (field == "add_prefix_space") stage->add_prefix_space = leaf.truth;
    if (field == "use_regex") stage->use_regex = leaf.truth;
    if (field == "individual_digits") stage->individual_digits = leaf.truth;
    if (field == "split") stage->split = leaf.truth;
    if (field == "invert") stage->invert = leaf.truth;
  }

  std::string_view list_;
  std::vector<Stage> stages_;
};

/// TemplateProcessing's "single": which special tokens stand before and behind the text.
struct Template {
  bool seen_text = false;
  std::string before, behind;

  void take(const JsonLeaf& leaf) {
    // post_processor[.processors[i]].single[j].(SpecialToken|Sequence).id
    const auto& path = leaf.path;
    const auto single = std::ranges::find_if(path, [](const JsonStep& step) { return step.is("single"); });
    if (single == path.end() || path.end() - single != 4 || !path.back().is("id")) return;
    if ((single + 2)->is("Sequence"))
      seen_text = true;
    else
      (seen_text ? behind : before) = leaf.text;
  }
};

class TokenizerJson {
 public:
  explicit TokenizerJson(const std::filesystem::path& path)
      : path_(path), file_(MappedFile::open(path)), vocabulary_(path) {}

  TokenizerSource read() {
    stream_json(file_->text(), path_, [&](JsonLeaf& leaf) { take(leaf); });
    out_.tokens = vocabulary_.take();
    if (model_type_.empty() && has_merges_) model_type_ = "BPE";
    if (model_type_ != "BPE")
      return unsupported(
          fmt::format("{}: tokenizer model {} is not supported (BPE is)", shown(path_.string()), shown(model_type_)));
    if (out_.tokens.empty()) bad_file(path_, "model.vocab", "is missing");
    out_.types.assign(out_.tokens.size(), kNormal);
    enter_added_tokens(path_, &out_);
    read_merges();
    understand();
    return std::move(out_);
  }

 private:
  static TokenizerSource unsupported(std::string why) {
    TokenizerSource none;
    none.unsupported = std::move(why);
    return none;
  }

  void take(JsonLeaf& leaf) {
    const std::string_view top = leaf.path.front().key;
    if (top == "model") return take_model(leaf);
    if (top == "added_tokens") return take_added(leaf);
    if (top == "normalizer") return normalizer_.take(leaf);
    if (top == "pre_tokenizer") return pre_tokenizer_.take(leaf);
    if (top == "decoder") return decoder_.take(leaf);
    if (top == "post_processor") return template_.take(leaf);
  }

  void take_model(JsonLeaf& leaf) {
    const auto& path = leaf.path;
    if (path.size() < 2) return;
    const std::string_view field = path[1].key;
    if (field == "vocab" && path.size() == 3 && path[2].index < 0) {
      if (!leaf.is_integer()) bad_file(path_, path[2].key, "its token id is not a whole number");
      vocabulary_.add(path[2].key, leaf.integer);
    } else if (field == "merges") {
      has_merges_ = true;
    } else if (path.size() == 2) {
      if (field == "type") model_type_ = std::move(leaf.text);
      if (field == "unk_token") unk_ = std::move(leaf.text);
      if (field == "byte_fallback") byte_fallback_ = leaf.truth;
      if (field == "ignore_merges") out_.ignore_merges = leaf.truth;
    }
  }

  void take_added(JsonLeaf& leaf) {
    if (leaf.path.size() != 3) return;
    const auto i = static_cast<std::size_t>(leaf.path[1].index);
    // One past the last begins the next token; a leap means members that are no objects, or not a list at all (−1).
    if (i > out_.added.size()) bad_file(path_, "added_tokens", "is not a list of objects");
    if (i == out_.added.size()) add_token(path_, &out_.added);
    if (leaf.path[2].is("id") && leaf.is_integer()) out_.added[i].id = leaf.integer;
    take_member(leaf, &out_.added[i]);
  }

  /// A second pass: the vocabulary must be known, and pairs of ids take far less memory than pairs of texts.
  void read_merges() {
    const TokenIndex index(out_.tokens);
    std::string left;
    const auto add = [&](std::string_view shown_as, const std::optional<std::array<std::int32_t, 2>>& pair) {
      if (!pair) bad_file(path_, "model.merges", fmt::format("\"{}\" does not name two tokens", shown(shown_as)));
      out_.merges.push_back(*pair);
    };
    if (has_merges_) {
      stream_json(file_->text(), path_, [&](JsonLeaf& leaf) {
        const auto& path = leaf.path;
        if (path.size() < 3 || !path[0].is("model") || !path[1].is("merges") || !leaf.is_text()) return;
        if (path.size() == 3) return add(leaf.text, index.merge(leaf.text));
        if (path[3].index == 0)
          left = std::move(leaf.text);
        else
          add(left, index.merge(left, leaf.text));
      });
    }
    if (const auto unk = index.find(unk_)) out_.unk_id = *unk;
    if (const auto bos = index.find(template_.before)) out_.bos_id = *bos;
    if (const auto eos = index.find(template_.behind)) out_.eos_id = *eos;
    out_.add_bos = !template_.before.empty();
    out_.add_eos = !template_.behind.empty();
  }

  void understand() {
    const auto stages = pre_tokenizer_.stages();
    const bool is_byte_level = std::ranges::any_of(stages, [](const Stage& s) { return s.type == "ByteLevel"; });
    std::string why = is_byte_level    ? understand_byte_level(stages)
                      : byte_fallback_ ? understand_pieces(stages)
                                       : "a BPE without byte level or byte fallback";
    if (!why.empty()) out_ = unsupported(fmt::format("{}: {} is not supported", shown(path_.string()), why));
  }

  std::string understand_byte_level(const std::vector<Stage>& stages) {
    out_.kind = TokenizerSource::Kind::byte_level_bpe;
    for (const Stage& stage : normalizer_.stages()) {
      if (stage.type != "NFC") return "normalizer " + shown(stage.type);
      out_.nfc = true;
    }
    for (const Stage& stage : stages) {
      if (stage.type == "ByteLevel") {
        if (stage.use_regex.value_or(true)) out_.patterns.emplace_back(kGpt2Pattern);
        if (stage.add_prefix_space.value_or(true)) out_.prefix = TokenizerSource::Prefix::always;
      } else if (stage.type == "Digits" && stage.individual_digits.value_or(false) && out_.patterns.empty()) {
        out_.split_digits = true;
      } else if (stage.type == "Split" && !stage.regex.empty() && stage.behavior == "Isolated" &&
                 !stage.invert.value_or(false)) {
        out_.patterns.push_back(stage.regex);
      } else {
        return "pre-tokenizer " + shown(stage.type);
      }
    }
    out_.pre_tokenizer = pre_tokenizer_name(out_.patterns, out_.split_digits);
    return {};
  }

  std::string understand_pieces(const std::vector<Stage>& stages) {
    out_.kind = TokenizerSource::Kind::sentencepiece_pieces;
    bool escapes = false;
    for (const Stage& stage : normalizer_.stages()) {
      if (stage.type == "Prepend" && stage.content == kSpacePiece) {
        out_.prefix = TokenizerSource::Prefix::always;
      } else if (stage.type == "Replace" && stage.literal == " " && stage.content == kSpacePiece) {
        escapes = true;
      } else {
        return "normalizer " + shown(stage.type);
      }
    }
    for (const Stage& stage : stages) {
      if (stage.type != "Metaspace") return "pre-tokenizer " + shown(stage.type);
      if (stage.split.value_or(true)) return "a Metaspace that splits";
      escapes = true;
      const bool prefix = stage.scheme.empty() ? stage.add_prefix_space.value_or(true) : stage.scheme != "never";
      if (prefix)
        out_.prefix = stage.scheme == "first" ? TokenizerSource::Prefix::first : TokenizerSource::Prefix::always;
    }
    if (!escapes) return "a tokenizer that does not escape spaces";
    score_by_merges();
    mark_bytes();
    return {};
  }

  void score_by_merges() {
    constexpr float kNever = -1e9F;
    out_.scores.assign(out_.tokens.size(), kNever);
    const TokenIndex index(out_.tokens);
    std::string whole;
    for (std::size_t rank = 0; rank < out_.merges.size(); ++rank) {
      const auto [left, right] = out_.merges[rank];
      whole = out_.tokens[static_cast<std::size_t>(left)];
      whole += out_.tokens[static_cast<std::size_t>(right)];
      float& score = out_.scores[static_cast<std::size_t>(*index.find(whole))];
      score = std::max(score, -static_cast<float>(rank));
    }
  }

  void mark_bytes() {
    for (std::size_t i = 0; i < out_.tokens.size(); ++i) {
      const std::string& token = out_.tokens[i];
      if (token.size() == 6 && token.starts_with("<0x") && token.ends_with('>')) out_.types[i] = kByte;
    }
    if (out_.unk_id) out_.types[static_cast<std::size_t>(*out_.unk_id)] = kUnknown;
  }

  const std::filesystem::path& path_;
  std::shared_ptr<const MappedFile> file_;
  Vocabulary vocabulary_;
  TokenizerSource out_;
  Section normalizer_{"normalizers"}, pre_tokenizer_{"pretokenizers"}, decoder_{"decoders"};
  Template template_;
  std::string model_type_, unk_;
  bool byte_fallback_ = false, has_merges_ = false;
};

}  // namespace

TokenizerSource read_tokenizer_json(const std::filesystem::path& path) { return TokenizerJson(path).read(); }

}  // namespace files
}  // namespace v0
}  // namespace nibble
