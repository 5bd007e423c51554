#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

/// Where this room's tests find models and references, and how they read them.
namespace nibble::tests {

namespace fs = std::filesystem;
using Json = nlohmann::json;

inline fs::path source_dir() { return NIBBLE_SOURCE_DIR; }
inline fs::path models() { return source_dir() / "tests" / "models"; }
inline fs::path goldens() { return source_dir() / "tests" / "goldens"; }
inline fs::path shared_data() { return source_dir() / ".." / "shared" / "data"; }

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline Json read_json(const fs::path& path) { return Json::parse(read_file(path)); }

}  // namespace nibble::tests
