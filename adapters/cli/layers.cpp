#include "adapters/cli/layers.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>

#include "adapters/cli/device_choice.h"
#include "adapters/cli/options.h"
#include "adapters/llm/placement.h"
#include "nibble/vulkan.h"

namespace nibble::cli {
namespace {

constexpr const char* kOption = "--layers";

struct Span {
  std::int64_t first = 0, last = 0;
};

/// "3" or "0-15".
std::optional<Span> parse_span(std::string_view text) {
  Span span;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, span.first);
  if (first.ec != std::errc()) return std::nullopt;
  span.last = span.first;
  if (first.ptr == end) return span;
  if (*first.ptr != '-') return std::nullopt;
  const auto last = std::from_chars(first.ptr + 1, end, span.last);
  if (last.ec != std::errc() || last.ptr != end) return std::nullopt;
  return span;
}

/// Bytes of each layer's weights.
std::vector<std::uint64_t> layer_bytes(const files::Checkpoint& checkpoint) {
  std::vector<std::uint64_t> bytes(static_cast<std::size_t>(checkpoint.config().num_hidden_layers), 0);
  constexpr std::string_view kPrefix = "model.layers.";
  for (const files::TensorInfo& tensor : checkpoint.tensors()) {
    if (!tensor.name.starts_with(kPrefix)) continue;
    std::size_t layer = 0;
    std::from_chars(tensor.name.data() + kPrefix.size(), tensor.name.data() + tensor.name.size(), layer);
    if (layer < bytes.size()) bytes[layer] += tensor.bytes;
  }
  return bytes;
}

/// Devices that the processor plays are used only when named.
std::vector<Device> place_by_memory(const files::Checkpoint& checkpoint) {
  std::vector<llm::Room> rooms;
  for (const DeviceInfo& info : devices()) {
    if (info.device != Device::cpu() && !info.software) rooms.push_back({info.device, free_memory(info.device)});
  }
  return llm::place_by_room(layer_bytes(checkpoint), rooms);
}

}  // namespace

std::vector<Device> place_layers(const std::string& text, const files::Checkpoint& checkpoint) {
  if (text == "auto") return place_by_memory(checkpoint);
  const std::int64_t count = checkpoint.config().num_hidden_layers;
  std::vector<std::optional<Device>> places(static_cast<std::size_t>(count));
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = part.find('=');
    const std::optional<Span> span =
        equals == std::string::npos ? std::nullopt : parse_span(std::string_view(part).substr(equals + 1));
    if (!span) refuse(fmt::format("{} {}: each part names a device and its layers, as vulkan:0=0-15", kOption, part));
    const Device device = find_device(kOption, part.substr(0, equals));
    if (span->first < 0 || span->last < span->first || span->last >= count) {
      refuse(fmt::format("{} {}: the model has layers 0 to {}", kOption, part, count - 1));
    }
    for (std::int64_t layer = span->first; layer <= span->last; ++layer) {
      std::optional<Device>& place = places[static_cast<std::size_t>(layer)];
      if (place) refuse(fmt::format("{} {}: layer {} has two places", kOption, text, layer));
      place = device;
    }
  }
  std::vector<Device> all;
  for (std::size_t layer = 0; layer < places.size(); ++layer) {
    if (!places[layer]) refuse(fmt::format("{} {}: layer {} has no place", kOption, text, layer));
    all.push_back(*places[layer]);
  }
  return all;
}

}  // namespace nibble::cli
