#pragma once

#include <cstdint>
#include <string_view>

namespace nibble {
inline namespace v0 {
namespace files {

/// What a vocabulary's token is, as sentencepiece and GGUF number it.
enum TokenType : std::int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

/// ▁, which stands for a space in sentencepiece's pieces.
inline constexpr std::string_view kSpacePiece = "\xe2\x96\x81";

}  // namespace files
}  // namespace v0
}  // namespace nibble
