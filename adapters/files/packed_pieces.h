#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nibble/quantization.h"
#include "nibble/tensor.h"

/// How packed tensors stand in a safetensors file: `<name>` holds the codes, `<stem>.scales` and `<stem>.biases` the
/// rest, as MLX names them; formats that are one run of blocks are `<name>` alone. Since neither says which format it
/// is, nibble adds one line of metadata a tensor.
namespace nibble {
inline namespace v0 {
namespace files {

/// "model.norm" for "model.norm.weight"; the name itself where it does not end so.
std::string_view stem_of(std::string_view name);

/// The dense tensors under which `tensor` is stored: itself, or its components. Throws Error(unsupported) for a packed
/// tensor that is a transposed view.
std::vector<std::pair<std::string, Tensor>> stored_pieces(const std::string& name, const Tensor& tensor);

/// The metadata entry that says what a packed tensor is.
std::pair<std::string, std::string> packed_note(const std::string& name, std::string_view format, DType dtype);
struct PackedNote {
  std::string format;
  DType dtype;
};
/// By tensor name.
std::map<std::string, PackedNote, std::less<>> packed_notes(const std::map<std::string, std::string>& metadata);

/// formats(), asked for once.
const std::vector<FormatInfo>& known_formats();
/// The row of that name, or null.
const FormatInfo* find_format_info(std::string_view format);
/// The formats of a mode of config.json, by widths and groups; all modes, for those who are told that theirs is none.
std::vector<const FormatInfo*> formats_of_mode(std::string_view mode);
std::string known_modes();
bool has_mode(std::string_view format);
/// Where a component of a packed tensor stands: its codes or blocks under the tensor's name, others beside it.
std::string piece_name(const std::string& name, std::string_view component);
/// What a block of weights takes, all components together, where the weight's own float type is `own`.
std::uint64_t block_bytes(const FormatInfo& format, DType own);
/// The weights in a row of a format whose codes (u32) or blocks (bytes) number `width`; 0 where that does not come out
/// even.
std::int64_t weights_in_row(const FormatInfo& format, std::int64_t width);

}  // namespace files
}  // namespace v0
}  // namespace nibble
