#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

/// JSON out of files that others wrote, in bounded memory. For .cpp files of this room only: it includes nlohmann.
namespace nibble {
inline namespace v0 {
namespace files {

/// The largest file that is read as a whole document: what its nodes take stays within 16 MiB.
inline constexpr std::uint64_t kSmallJson = 512 * 1024;
inline constexpr int kJsonDepth = 32;

/// A small JSON object as a document. Throws Error(invalid_file) for anything else, too long or too deep.
nlohmann::json parse_small_json(std::string_view text, const std::filesystem::path& origin);

/// One step down: an object's key, or a position in an array (index ≥ 0).
struct JsonStep {
  std::string key;
  std::int64_t index = -1;
  bool is(std::string_view name) const { return index < 0 && key == name; }
};
using JsonPath = std::vector<JsonStep>;

/// A number, text or truth value, and where it stands.
struct JsonLeaf {
  enum class Kind : std::uint8_t { null, boolean, integer, real, text };
  const JsonPath& path;
  Kind kind = Kind::null;
  bool truth = false;
  std::int64_t integer = 0;  ///< saturated
  double real = 0;           ///< also of an integer
  std::string text = {};
  bool is_text() const { return kind == Kind::text; }
  bool is_integer() const { return kind == Kind::integer; }
  bool at(std::size_t depth, std::string_view key) const { return path.size() > depth && path[depth].is(key); }
};

/// Calls `leaf` for every leaf of an object of any size, in order, without keeping any. Throws Error(invalid_file).
void stream_json(std::string_view text, const std::filesystem::path& origin,
                 const std::function<void(JsonLeaf&)>& leaf);

}  // namespace files
}  // namespace v0
}  // namespace nibble
