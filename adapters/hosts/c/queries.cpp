#include <optional>
#include <string>
#include <vector>

#include "adapters/hosts/c/handles.h"
#include "adapters/hosts/capability.h"
#include "nibble/error.h"
#include "nibble/quantization.h"

namespace nibble {
namespace hosts {

static_assert(NIBBLE_NATIVE == static_cast<int>(Capability::native));

namespace {

nibble_status query(nibble_context* context, const nibble_query* query, nibble_capability* out, nibble_error** error) {
  return guarded(context, error, [&] {
    const nibble_query q = sized(query, "nibble_query");
    const auto format = q.format ? std::optional<std::string>(q.format) : std::nullopt;
    const Device device = q.device ? Device::parse(q.device) : Device::cpu();
    *required(out, "out") = static_cast<nibble_capability>(
        capability(required(q.op, "nibble_query.op"), dtype_of_number(q.dtype), format, shape_of(q.shape), device));
  });
}

// Names that a host may keep: they live as long as the library.

const char* format_name(nibble_context*, std::size_t i) {
  static const std::vector<FormatInfo> all = formats();
  return i < all.size() ? all[i].name.c_str() : nullptr;
}

const char* device_name(nibble_context*, std::size_t i) {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const DeviceInfo& info : devices()) names.push_back(to_string(info.device));
    return names;
  }();
  return i < all.size() ? all[i].c_str() : nullptr;
}

}  // namespace

void add_queries(nibble_api& api) {
  api.capability = query;
  api.format_name = format_name;
  api.device_name = device_name;
  api.stats = [](nibble_context*, nibble_stats* out) {
    const Stats s = stats();
    guarded(nullptr, nullptr, [&] {
      fill(nibble_stats{sizeof(nibble_stats), s.bytes_dequantized, s.bytes_copied, s.bytes_moved, s.bytes_allocated,
                        s.peak_bytes_allocated, s.ops_cpu, s.ops_vulkan},
           out, "nibble_stats");
    });
  };
}

}  // namespace hosts
}  // namespace nibble
