#include "adapters/files/packed_pieces.h"

#include <fmt/format.h>

#include <cmath>

#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::string_view kNote = "nibble.packed.";

}  // namespace

std::string_view stem_of(std::string_view name) {
  constexpr std::string_view kSuffix = ".weight";
  return name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name;
}

std::vector<std::pair<std::string, Tensor>> stored_pieces(const std::string& name, const Tensor& tensor) {
  if (!tensor.is_quantized()) return {{name, tensor}};
  const PackingView view = packing_of(tensor);
  if (view.axis != tensor.ndim() - 1) {
    throw Error(ErrorCode::unsupported,
                fmt::format("[save_safetensors] {}: {} is a transposed view; save what it is a view of", shown(name),
                            describe(tensor)));
  }
  std::vector<std::pair<std::string, Tensor>> pieces;
  for (const auto& [part, component] : view.components) {
    const bool is_main = part == "codes" || part == "blocks";
    pieces.emplace_back(is_main ? name : fmt::format("{}.{}", stem_of(name), part), component);
  }
  return pieces;
}

std::pair<std::string, std::string> packed_note(const std::string& name, const Tensor& tensor) {
  return {fmt::format("{}{}", kNote, name),
          fmt::format("{} {}", packing_of(tensor).format.name, nibble::name(tensor.dtype()))};
}

std::map<std::string, PackedNote, std::less<>> packed_notes(const std::map<std::string, std::string>& metadata) {
  std::map<std::string, PackedNote, std::less<>> notes;
  for (const auto& [key, value] : metadata) {
    const auto space = value.find(' ');
    if (!key.starts_with(kNote) || space == std::string::npos) continue;
    if (const auto dtype = parse_dtype(std::string_view(value).substr(space + 1))) {
      notes.emplace(key.substr(kNote.size()), PackedNote{value.substr(0, space), *dtype});
    }
  }
  return notes;
}

const FormatInfo* find_format_info(std::string_view format) {
  static const std::vector<FormatInfo> all = formats();
  for (const FormatInfo& info : all) {
    if (info.name == format) return &info;
  }
  return nullptr;
}

std::int64_t weights_in_row(const FormatInfo& format, std::int64_t width) {
  const bool in_words = format.name.starts_with("affine");
  const double weights = in_words ? static_cast<double>(width) * 32 / format.bits
                                  : static_cast<double>(width) * 8 / format.bits_per_weight;
  const auto whole = static_cast<std::int64_t>(std::llround(weights));
  return static_cast<double>(whole) == weights && whole % format.group_size == 0 ? whole : 0;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
