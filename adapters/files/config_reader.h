#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/files/config.h"
#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// Reads one JSON object key by key, naming file and key in what it throws, and remembers which it was asked for. A key
/// that is null is as good as absent, as in transformers.
class Reader {
 public:
  Reader(const nlohmann::json& object, const std::string& origin, std::string prefix = {})
      : object_(object), origin_(origin), prefix_(std::move(prefix)) {}

  const nlohmann::json* find(const char* key) const {
    asked_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  /// Of an object that a key holds.
  Reader inner(const nlohmann::json& object, std::string_view key) const {
    return Reader(object, origin_, fmt::format("{}{}.", prefix_, key));
  }
  bool has(const char* key) const { return object_.contains(key); }
  std::optional<std::int64_t> integer(const char* key) const {
    const nlohmann::json* value = find(key);
    if (!value) return {};
    if (!value->is_number_integer() || (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX))
      bad(key, "is not a whole number");
    return value->get<std::int64_t>();
  }
  std::optional<double> number(const char* key) const {
    const nlohmann::json* value = find(key);
    if (!value) return {};
    if (!value->is_number()) bad(key, "is not a number");
    return value->get<double>();
  }
  std::optional<bool> boolean(const char* key) const {
    const nlohmann::json* value = find(key);
    if (!value) return {};
    if (!value->is_boolean()) bad(key, "is not true or false");
    return value->get<bool>();
  }
  std::optional<std::string> text(const char* key) const {
    const nlohmann::json* value = find(key);
    if (!value) return {};
    if (!value->is_string()) bad(key, "is not a text");
    return value->get<std::string>();
  }
  /// A number or a list of numbers.
  std::vector<std::int64_t> integers(const char* key) const {
    const nlohmann::json* value = find(key);
    if (!value) return {};
    std::vector<std::int64_t> numbers;
    const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
    for (const nlohmann::json& entry : list) {
      if (!entry.is_number_integer()) bad(key, "is neither a whole number nor a list of them");
      numbers.push_back(entry.get<std::int64_t>());
    }
    return numbers;
  }
  /// A size that must be there and positive.
  std::int64_t size(const char* key) const {
    const auto value = integer(key);
    if (!value) bad(key, "is missing");
    return checked_size(key, *value);
  }
  std::int64_t size_or(const char* key, std::int64_t otherwise) const {
    return checked_size(key, integer(key).value_or(otherwise));
  }

  /// What nobody asked for.
  std::vector<std::pair<std::string, const nlohmann::json*>> unread() const {
    std::vector<std::pair<std::string, const nlohmann::json*>> rest;
    for (const auto& [key, value] : object_.items()) {
      if (!asked_.contains(key)) rest.emplace_back(key, &value);
    }
    return rest;
  }

  [[noreturn]] void bad(std::string_view key, std::string_view rule) const {
    bad_file(origin_, prefix_ + std::string(key), rule);
  }
  [[noreturn]] void unsupported(std::string_view key, std::string_view rule) const {
    refuse(ErrorCode::unsupported, origin_, prefix_ + std::string(key), rule);
  }

 private:
  std::int64_t checked_size(const char* key, std::int64_t value) const {
    if (value <= 0 || value > kLargestSize) bad(key, fmt::format("{} is not a size", value));
    return value;
  }

  const nlohmann::json& object_;
  mutable std::set<std::string, std::less<>> asked_;
  const std::string& origin_;
  std::string prefix_;
};

/// Throws Error(unsupported) for a key that changes the arithmetic, as far as its name tells, and that `reader` was not
/// asked for: nibble would silently compute another model than the file means.
void refuse_what_changes_the_arithmetic(const Reader& reader, const ModelConfig& config);

}  // namespace files
}  // namespace v0
}  // namespace nibble
