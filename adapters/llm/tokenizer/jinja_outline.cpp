#include "adapters/llm/tokenizer/jinja_outline.h"

#include <algorithm>
#include <array>
#include <utility>

#include "adapters/llm/tokenizer/utf8.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

std::string_view trim_left(std::string_view text, std::string_view set = kSpace) {
  return text.substr(std::min(text.find_first_not_of(set), text.size()));
}
std::string_view trim_right(std::string_view text, std::string_view set = kSpace) {
  return text.substr(0, text.find_last_not_of(set) + 1);
}

/// The text of a string literal, quotes taken off.
std::string unescape(std::string_view literal) {
  std::string out;
  for (std::size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] != '\\' || i + 1 == literal.size()) {
      out += literal[i];
      continue;
    }
    switch (const char c = literal[++i]) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      default: out += c;
    }
  }
  return out;
}

/// The end of the string literal that begins at `at` with a quote: the place of its closing quote.
std::size_t end_of_literal(std::string_view text, std::size_t at) {
  const char quote = text[at];
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      return i;
    }
  }
  return std::string_view::npos;
}

std::string pattern_of_term(std::string_view term) {
  term = trim_left(trim_right(term));
  if (!term.empty() && (term[0] == '\'' || term[0] == '"') && end_of_literal(term, 0) == term.size() - 1)
    return unescape(term.substr(1, term.size() - 2));

  std::string name;  // without blanks and parentheses, one kind of quote
  for (const char c : term)
    if (kSpace.find(c) == kSpace.npos && c != '(' && c != ')') name += c == '"' ? '\'' : c;
  bool trimmed = false;
  for (const std::string_view suffix : {"|trim", ".strip"})
    if (name.ends_with(suffix)) {
      name.resize(name.size() - suffix.size());
      trimmed = true;
    }
  constexpr auto kNames = std::to_array<std::pair<std::string_view, char>>({
      {"message['role']", slot::kRole},
      {"message.role", slot::kRole},
      {"message['content']", slot::kContent},
      {"message.content", slot::kContent},
      {"content", slot::kContent},
      {"bos_token", slot::kBos},
      {"eos_token", slot::kEos},
      {"system_message", slot::kSystem},
      {"date_string", slot::kDate},
  });
  for (const auto& [known, value] : kNames)
    if (name == known) {
      if (!trimmed) return {value};
      return {value == slot::kContent ? slot::kTrimmedContent : slot::kUnknown};
    }
  return {slot::kUnknown};
}

struct Tag {
  std::size_t begin, end;  // with its braces
  char kind;               // '%', '{' or '#'
  std::string_view inside;
  bool strips_before, strips_after;
};

/// The next tag from `at`, or one at the very end when there is none.
Tag next_tag(std::string_view text, std::size_t at) {
  const Tag none{text.size(), text.size(), 0, {}, false, false};
  std::size_t begin = text.find('{', at);
  while (begin != text.npos && text.substr(begin + 1).find_first_of("%{#") != 0) begin = text.find('{', begin + 1);
  if (begin == text.npos) return none;
  const char kind = text[begin + 1];
  const std::string closing = {kind == '{' ? '}' : kind, '}'};
  std::size_t end = begin + 2;
  while (end < text.size() && !text.substr(end).starts_with(closing)) {
    const bool opens_literal = kind != '#' && (text[end] == '\'' || text[end] == '"');
    end = opens_literal ? end_of_literal(text, end) : end;
    if (end == text.npos) return none;
    ++end;
  }
  if (end >= text.size()) return none;
  std::string_view inside = text.substr(begin + 2, end - begin - 2);
  const bool before = inside.starts_with('-');
  if (before || inside.starts_with('+')) inside.remove_prefix(1);
  const bool after = inside.ends_with('-');
  if (after) inside.remove_suffix(1);
  return {begin, end + 2, kind, trim_left(trim_right(inside)), before, after};
}

/// Plain text between two tags as it is written: Jinja's trim_blocks and lstrip_blocks, and the minus signs.
std::string_view visible_text(std::string_view text, const Tag* previous, const Tag& next) {
  if (previous != nullptr && previous->strips_after) {
    text = trim_left(text);
  } else if (previous != nullptr && previous->kind != '{' && text.starts_with('\n')) {
    text.remove_prefix(1);
  }
  if (next.strips_before) return trim_right(text);
  if (next.kind == '%' || next.kind == '#') {
    const std::string_view shorter = trim_right(text, " \t");
    if (shorter.empty() || shorter.ends_with('\n')) text = shorter;
  }
  if (next.kind == 0 && text.ends_with('\n'))
    text.remove_suffix(1);  // Jinja drops one newline at the end of a template
  return text;
}

}  // namespace

std::string pattern_of_expression(std::string_view expression) {
  std::string pattern;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    if (expression[i] == '(') ++depth;
    if (expression[i] == ')') --depth;
    if (expression[i] == '\'' || expression[i] == '"') {
      i = end_of_literal(expression, i);
      if (i == expression.npos) return {slot::kUnknown};
    } else if (expression[i] == '+' && depth == 0) {
      pattern += pattern_of_term(expression.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  return pattern + pattern_of_term(expression.substr(begin));
}

std::vector<OutlineItem> outline_of(std::string_view jinja) {
  std::vector<OutlineItem> items;
  const auto write = [&](std::string_view pattern, bool is_plain) {
    if (pattern.empty()) return;
    if (items.empty() || items.back().is_statement) items.push_back({false, true, {}});
    items.back().is_plain = items.back().is_plain && is_plain;
    items.back().text += pattern;
  };
  Tag previous{};
  for (std::size_t at = 0; at < jinja.size(); at = previous.end) {
    const Tag tag = next_tag(jinja, at);
    write(visible_text(jinja.substr(at, tag.begin - at), at == 0 ? nullptr : &previous, tag), true);
    if (tag.kind == '{') write(pattern_of_expression(tag.inside), false);
    if (tag.kind == '%') items.push_back({true, false, std::string(tag.inside)});
    previous = tag;
  }
  return items;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
