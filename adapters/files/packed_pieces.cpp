#include "adapters/files/packed_pieces.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

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

std::string piece_name(const std::string& name, std::string_view component) {
  const bool is_main = component == "codes" || component == "blocks";
  return is_main ? name : fmt::format("{}.{}", stem_of(name), component);
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
  for (const auto& [part, component] : view.components) pieces.emplace_back(piece_name(name, part), component);
  return pieces;
}

std::pair<std::string, std::string> packed_note(const std::string& name, std::string_view format, DType dtype) {
  return {fmt::format("{}{}", kNote, name), fmt::format("{} {}", format, nibble::name(dtype))};
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

const std::vector<FormatInfo>& known_formats() {
  static const std::vector<FormatInfo> all = formats();
  return all;
}

const FormatInfo* find_format_info(std::string_view format) {
  const std::optional<FormatInfo> info = format_info(format);
  return info ? &*std::ranges::find(known_formats(), info->name, &FormatInfo::name) : nullptr;
}

std::vector<const FormatInfo*> formats_of_mode(std::string_view mode) {
  std::vector<const FormatInfo*> found;
  for (const FormatInfo& info : known_formats()) {
    if (!mode.empty() && info.mode == mode) found.push_back(&info);
  }
  return found;
}

std::string known_modes() {
  std::set<std::string> modes;
  for (const FormatInfo& info : known_formats()) {
    if (!info.mode.empty()) modes.insert(info.mode);
  }
  return fmt::format("{}", fmt::join(modes, ", "));
}

bool has_mode(std::string_view format) {
  const FormatInfo* info = find_format_info(format);
  return info != nullptr && !info->mode.empty();
}

std::uint64_t block_bytes(const FormatInfo& format, DType own) {
  std::uint64_t bytes = 0;
  for (const ComponentInfo& component : format.components) {
    if (component.of_row) continue;
    bytes += static_cast<std::uint64_t>(component.width) * itemsize(component.dtype.value_or(own));
  }
  return bytes;
}

std::int64_t weights_in_row(const FormatInfo& format, std::int64_t width) {
  const std::int64_t in_block = format.components.front().width;
  constexpr std::int64_t kWidest = std::int64_t{1} << 40;  // an empty tensor may claim anything
  return width <= kWidest && width % in_block == 0 ? width / in_block * format.block : 0;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
