#include "adapters/llm/tokenizer/utf8.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// What may follow a lead byte: how many bytes, and the range of the first of them (the others are 80..BF).
/// The narrower ranges keep out overlong forms, surrogates and what is above U+10FFFF (Unicode 15, table 3-7).
struct Lead {
  int continuations;  // -1: not a lead byte
  unsigned char low = 0x80, high = 0xBF;
};

constexpr Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {0};
  if (byte < 0xC2) return {-1};
  if (byte < 0xE0) return {1};
  if (byte == 0xE0) return {2, 0xA0};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte < 0xF0) return {2};
  if (byte == 0xF0) return {3, 0x90};
  if (byte < 0xF4) return {3};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {-1};
}

}  // namespace

Utf8Step utf8_step(std::string_view bytes) noexcept {
  const Lead lead = lead_of(static_cast<unsigned char>(bytes[0]));
  if (lead.continuations < 0) return {Utf8Step::Kind::invalid, 1};
  const std::size_t whole = 1 + static_cast<std::size_t>(lead.continuations);
  for (std::size_t i = 1; i < whole; ++i) {
    if (i == bytes.size()) return {Utf8Step::Kind::truncated, i};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const unsigned char low = i == 1 ? lead.low : 0x80;
    const unsigned char high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) return {Utf8Step::Kind::invalid, i};
  }
  return {Utf8Step::Kind::character, whole};
}

std::string take_utf8(std::string& pending, bool is_end) {
  std::string out;
  out.reserve(pending.size());
  std::string_view rest = pending;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (step.kind == Utf8Step::Kind::truncated && !is_end) break;
    out += step.kind == Utf8Step::Kind::character ? rest.substr(0, step.length) : kReplacement;
    rest.remove_prefix(step.length);
  }
  pending.erase(0, pending.size() - rest.size());
  return out;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string pending(text);
  return take_utf8(pending, true);
}

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
  const auto put_continuation = [&](int shift) { put(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | (c >> 6));
  } else {
    if (c < 0x10000) {
      put(0xE0 | (c >> 12));
    } else {
      put(0xF0 | (c >> 18));
      put_continuation(12);
    }
    put_continuation(6);
  }
  put_continuation(0);
}

char32_t first_character(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const std::size_t length = utf8_step(text).length;
  if (length == 1) return byte(0);
  char32_t c = byte(0) & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) c = (c << 6) | (byte(i) & 0x3F);
  return c;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
