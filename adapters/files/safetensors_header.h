#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "adapters/files/safetensors.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// Reads the JSON header of a safetensors file through a SAX parser. Offsets in `entries` are still relative to the
/// data.
void parse_safetensors_header(const std::filesystem::path& path, std::string_view json,
                              std::deque<SafetensorsEntry>* entries, std::map<std::string, std::string>* metadata);

}  // namespace files
}  // namespace v0
}  // namespace nibble
