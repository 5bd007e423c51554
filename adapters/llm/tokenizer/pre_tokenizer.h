#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace llm {

/// One regular expression that cuts text into its matches and what lies between them ("isolating" split). PCRE2 with
/// Unicode properties, compiled to machine code where PCRE2 can.
class SplitPattern {
 public:
  /// Throws Error(unsupported) where PCRE2 does not take the expression.
  explicit SplitPattern(const std::string& expression);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;

  /// Appends the pieces of `text` (well-formed UTF-8) in order; together they are the text.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

/// The rule by which text is cut into words before merges: several splits, each applied to the pieces of the one
/// before.
class PreTokenizer {
 public:
  /// `rule` is "gpt-2", "llama3", "qwen2" or "smollm"; where it is empty, `expressions` are taken in order. Throws
  /// Error(unsupported) for another rule.
  PreTokenizer(std::string_view rule, const std::vector<std::string>& expressions, bool split_digits);

  std::vector<std::string_view> split(std::string_view text) const;

 private:
  std::vector<SplitPattern> patterns_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
