#include "adapters/files/json_events.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using nlohmann::json;

class Events : public nlohmann::json_sax<json> {
 public:
  Events(const std::filesystem::path& origin, const std::function<void(JsonLeaf&)>& leaf)
      : origin_(origin), leaf_(leaf) {}

  bool start_object(std::size_t) override { return descend(/*array=*/false); }
  bool start_array(std::size_t) override { return descend(/*array=*/true); }
  bool end_object() override { return ascend(); }
  bool end_array() override { return ascend(); }
  bool key(string_t& text) override {
    path_.back().key = std::move(text);
    return true;
  }
  bool null() override { return emit({.path = path_}); }
  bool boolean(bool value) override { return emit({.path = path_, .kind = JsonLeaf::Kind::boolean, .truth = value}); }
  bool number_integer(number_integer_t value) override {
    return emit({.path = path_, .kind = JsonLeaf::Kind::integer, .integer = value, .real = static_cast<double>(value)});
  }
  bool number_unsigned(number_unsigned_t value) override {
    constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();
    const auto integer = value > static_cast<std::uint64_t>(kLargest) ? kLargest : static_cast<std::int64_t>(value);
    return emit(
        {.path = path_, .kind = JsonLeaf::Kind::integer, .integer = integer, .real = static_cast<double>(value)});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return emit({.path = path_, .kind = JsonLeaf::Kind::real, .real = value});
  }
  bool string(string_t& text) override {
    return emit({.path = path_, .kind = JsonLeaf::Kind::text, .text = std::move(text)});
  }
  bool binary(binary_t&) override { return true; }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    bad_file(origin_, "", fmt::format("is not JSON (byte {})", position));
  }

 private:
  /// Every file read here is an object: its leaves have a path of one step or more.
  void require_object() const {
    if (path_.empty()) bad_file(origin_, "", "is not a JSON object");
  }
  // An array's step counts its elements; an object's is set by its keys.
  void advance() {
    if (!arrays_.empty() && arrays_.back()) ++path_.back().index;
  }
  bool descend(bool array) {
    if (array) require_object();
    advance();
    if (path_.size() >= kJsonDepth) bad_file(origin_, "", fmt::format("is nested deeper than {}", kJsonDepth));
    path_.emplace_back();
    arrays_.push_back(array);
    return true;
  }
  bool ascend() {
    path_.pop_back();
    arrays_.pop_back();
    return true;
  }
  bool emit(JsonLeaf leaf) {
    require_object();
    advance();
    leaf_(leaf);
    return true;
  }

  const std::filesystem::path& origin_;
  const std::function<void(JsonLeaf&)>& leaf_;
  JsonPath path_;
  std::vector<bool> arrays_;
};

}  // namespace

json parse_small_json(std::string_view text, const std::filesystem::path& origin) {
  if (text.size() > kSmallJson)
    bad_file(origin, "", fmt::format("{} bytes are more than the {} that it may have", text.size(), kSmallJson));
  const auto shallow = [&](int depth, json::parse_event_t, json&) {
    if (depth > kJsonDepth) bad_file(origin, "", fmt::format("is nested deeper than {}", kJsonDepth));
    return true;
  };
  json document;
  try {
    document = json::parse(text.begin(), text.end(), shallow);
  } catch (const json::parse_error& error) {
    bad_file(origin, "", fmt::format("is not JSON (byte {})", error.byte));
  } catch (const json::out_of_range&) {
    bad_file(origin, "", "holds a number that is out of range");
  }
  if (!document.is_object()) bad_file(origin, "", "is not a JSON object");
  return document;
}

void stream_json(std::string_view text, const std::filesystem::path& origin,
                 const std::function<void(JsonLeaf&)>& leaf) {
  Events events(origin, leaf);
  json::sax_parse(text.begin(), text.end(), &events);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
