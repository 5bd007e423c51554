#pragma once

#include <cstdint>

namespace nibble {
inline namespace v0 {
namespace files {

/// GGUF's gguf_metadata_value_type.
namespace gguf_value {
enum Type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64, kTypes };
}  // namespace gguf_value

}  // namespace files
}  // namespace v0
}  // namespace nibble
