#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nibble {
inline namespace v0 {
namespace llm {

/// ASCII's white space, as Python strips it.
inline constexpr std::string_view kSpace = " \t\n\v\f\r";

/// What stands at the front of some bytes.
struct Utf8Step {
  enum class Kind : unsigned char {
    character,  ///< a whole, well-formed character
    invalid,    ///< bytes that begin no character: one U+FFFD stands for all `length` of them
    truncated,  ///< the beginning of a character, and then the bytes end
  };
  Kind kind;
  std::size_t length;
};

/// The first character of `bytes` (not empty). Ill-formed bytes are grouped by the Unicode Standard's "substitution of
/// maximal subparts" (Unicode 15, section 3.9), as Python and Rust do.
Utf8Step utf8_step(std::string_view bytes) noexcept;

/// Moves all that is decided from `pending` into the result, ill-formed bytes as U+FFFD. A character that has only
/// begun stays in `pending`, unless `is_end`: then it is ill-formed, too.
std::string take_utf8(std::string& pending, bool is_end);

/// The text with every ill-formed sequence replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

void append_utf8(std::string& text, char32_t character);

/// The character at the front of well-formed text.
char32_t first_character(std::string_view text) noexcept;

}  // namespace llm
}  // namespace v0
}  // namespace nibble
