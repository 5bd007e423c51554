#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace llm {

/// What a template writes is kept as a pattern: plain text in which these bytes stand for values.
namespace slot {
inline constexpr char kRole = '\x01';
inline constexpr char kContent = '\x02';
inline constexpr char kTrimmedContent = '\x03';
inline constexpr char kBos = '\x04';
inline constexpr char kEos = '\x05';
inline constexpr char kSystem = '\x06';
inline constexpr char kDate = '\x07';
inline constexpr char kUnknown = '\x08';  ///< an expression that is not understood
}  // namespace slot

/// One piece of a template: a statement {% … %}, or what stands between two statements as a pattern.
struct OutlineItem {
  bool is_statement;
  bool is_plain;  ///< a pattern of nothing but text between tags
  std::string text;
};

/// A Jinja chat template taken apart far enough to see which texts it writes and under which statements. White space
/// around tags is treated as transformers does (trim_blocks and lstrip_blocks on). A sum of strings and known variables
/// becomes a pattern; this is no interpreter.
std::vector<OutlineItem> outline_of(std::string_view jinja);

/// The pattern of an expression like `'[INST] ' + message['content'] | trim`.
std::string pattern_of_expression(std::string_view expression);

}  // namespace llm
}  // namespace v0
}  // namespace nibble
