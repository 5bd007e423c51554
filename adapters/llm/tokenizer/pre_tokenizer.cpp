#include "adapters/llm/tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <new>
#include <utility>

#include "adapters/files/file_error.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDigit = R"(\p{N})";

struct Rule {
  std::string_view name;
  const char* pattern;
  bool split_digits;
};
constexpr std::array kRules = {
    Rule{"gpt-2", kGpt2, false},
    Rule{"llama3", kLlama3, false},
    Rule{"qwen2", kQwen2, false},
    Rule{"smollm", kGpt2, true},
};

const Rule& rule_named(std::string_view name) {
  for (const Rule& rule : kRules)
    if (rule.name == name) return rule;
  throw Error(
      ErrorCode::unsupported,
      fmt::format("[tokenizer] pre-tokenizer \"{}\": known are gpt-2, llama3, qwen2 and smollm", files::shown(name)));
}

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// The expression with \s and \S spelled out as Unicode's White_Space, which tokenizers mean by them; PCRE2's have
/// U+180E on top.
std::string with_unicode_space(std::string_view expression) {
  constexpr std::string_view kMembers = R"(\t-\r\x{85}\p{Z})";
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c != '\\' || i + 1 == expression.size()) {
      in_class = c == '[' || (in_class && c != ']');
      out += c;
      continue;
    }
    const char escaped = expression[++i];
    if (escaped == 's') {
      out += in_class ? std::string(kMembers) : fmt::format("[{}]", kMembers);
    } else if (escaped == 'S' && !in_class) {
      out += fmt::format("[^{}]", kMembers);
    } else {
      out += {c, escaped};
    }
  }
  return out;
}

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

struct SplitPattern::Code {
  explicit Code(const std::string& expression) {
    const std::string exact = with_unicode_space(expression);
    int error = 0;
    PCRE2_SIZE at = 0;
    // \C would cut characters in two.
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(exact.data()), exact.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &at, nullptr);
    if (code == nullptr)
      throw Error(ErrorCode::unsupported, fmt::format("[tokenizer] pattern \"{}\": {} at offset {}",
                                                      files::shown(expression), pcre2_message(error), at));
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // a failure only means that the interpreter matches
  }
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  int match(std::string_view text, std::size_t from, pcre2_match_data* data) const {
    const auto run = [&](std::uint32_t options) {
      return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                         PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | options, data, nullptr);
    };
    const int result = run(0);
    return result == PCRE2_ERROR_JIT_STACKLIMIT ? run(PCRE2_NO_JIT) : result;
  }

  pcre2_code* code;
};

SplitPattern::SplitPattern(const std::string& expression) {
  // In the dialects that tokenizer.json is written in, && intersects classes; PCRE2 10.42 would read it as two
  // characters.
  if (expression.find("&&") != std::string::npos)
    throw Error(ErrorCode::unsupported,
                fmt::format("[tokenizer] pattern \"{}\": intersections of classes are not understood",
                            files::shown(expression)));
  code_ = std::make_unique<Code>(expression);
}
SplitPattern::~SplitPattern() = default;
SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&&) noexcept = default;

void SplitPattern::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(pcre2_match_data_create(1, nullptr));
  if (data == nullptr) throw std::bad_alloc();
  for (std::size_t at = 0; at < text.size();) {
    const int result = code_->match(text, at, data.get());
    if (result == PCRE2_ERROR_NOMATCH) {
      pieces.push_back(text.substr(at));
      return;
    }
    if (result < 0)
      throw Error(ErrorCode::unsupported,
                  fmt::format("[tokenizer] cutting the text into words: {}", pcre2_message(result)));
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
    if (span[0] > at) pieces.push_back(text.substr(at, span[0] - at));
    pieces.push_back(text.substr(span[0], span[1] - span[0]));
    at = span[1];
  }
}

PreTokenizer::PreTokenizer(std::string_view name, const std::vector<std::string>& expressions, bool split_digits) {
  const Rule* rule = name.empty() ? nullptr : &rule_named(name);
  if (split_digits || (rule != nullptr && rule->split_digits)) patterns_.emplace_back(kDigit);
  if (rule != nullptr) {
    patterns_.emplace_back(rule->pattern);
  } else {
    for (const std::string& expression : expressions) patterns_.emplace_back(expression);
  }
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces{text};
  for (const SplitPattern& pattern : patterns_) {
    std::vector<std::string_view> finer;
    finer.reserve(pieces.size());
    for (const std::string_view piece : pieces) pattern.split(piece, finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
