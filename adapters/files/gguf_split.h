#pragma once

#include <cstdint>
#include <string>

/// How llama.cpp's gguf-split names the files of one model, and what each says of itself: MODEL-00001-of-00003.gguf and
/// its like, with `split.no`, counted from zero, and `split.count` (u16); `split.tensors.count` (i32) is that of all
/// files together. The first has the model's other metadata, all have tensors.
namespace nibble {
inline namespace v0 {
namespace files {
namespace gguf_split {

inline constexpr const char *kNo = "split.no", *kCount = "split.count", *kTensors = "split.tensors.count";

/// "-00001-of-00003.gguf" for part 0 of 3.
std::string end_of_name(std::int64_t no, std::int64_t count);

}  // namespace gguf_split
}  // namespace files
}  // namespace v0
}  // namespace nibble
