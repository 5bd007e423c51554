#include "adapters/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <type_traits>

namespace nibble::cli {
namespace {

bool says_something(const std::string& value) { return !value.empty(); }
template <class Number>
bool says_something(Number value) {
  return value != 0;
}
template <class Value>
bool says_something(const std::optional<Value>&) {
  return false;
}

/// CLI11 takes the largest number there is for one that is larger, and 0 for none.
std::string no_integer(const std::string& text) {
  if (text.empty()) return "no number given";
  std::int64_t number = 0;
  const bool over =
      std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc::result_out_of_range;
  return over ? text + ": no number is that large here" : "";
}

template <class Place>
constexpr bool is_integer =
    std::is_same_v<Place, int*> || std::is_same_v<Place, std::int64_t*> ||
    std::is_same_v<Place, std::optional<std::int64_t>*> || std::is_same_v<Place, std::vector<std::int64_t>*>;

}  // namespace

CLI::Option* Arguments::add(const char* name, Place place, const std::string& description) {
  const auto add_at = [&](auto* at) {
    CLI::Option* added = app_.add_option(name, *at, description);
    if constexpr (is_integer<decltype(at)>) added->check(CLI::Validator(no_integer, ""));
    if constexpr (std::is_same_v<decltype(at), std::vector<std::string>*>) {
      added->take_all()->allow_extra_args(false);
    } else if (says_something(*at)) {
      added->capture_default_str();
    }
    return added;
  };
  return std::visit(add_at, place);
}

void Arguments::required(const char* name, Place place, const std::string& description) {
  add(name, place, description)->required();
}

void Arguments::option(const char* name, Place place, const std::string& description) { add(name, place, description); }

void Arguments::list(const char* name, ListPlace place, const std::string& description) {
  std::visit(
      [&](auto* at) {
        CLI::Option* added = app_.add_option(name, *at, description);
        added->delimiter(',')->allow_extra_args(false)->capture_default_str();
        if constexpr (is_integer<decltype(at)>) added->check(CLI::Validator(no_integer, ""));
      },
      place);
}

void Arguments::flag(const char* name, bool* place, const char* description) {
  app_.add_flag(name, *place, description);
}

void Arguments::footer(const char* text) { app_.footer(text); }

}  // namespace nibble::cli
