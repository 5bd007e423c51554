#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace nibble::cli {

/// What a command takes on its line, and where the values go. A name without dashes is an argument told by its place.
/// Only this file's source and the program's main include CLI11, whose header costs a compiler seconds.
class Arguments {
 public:
  /// What a place holds beforehand is the default; help shows it, unless it is empty or 0: then the description tells
  /// what happens. Texts in a vector come one by one, the option repeated.
  using Place = std::variant<int*, std::int64_t*, double*, std::string*, std::optional<double>*,
                             std::optional<std::int64_t>*, std::vector<std::string>*>;
  using ListPlace = std::variant<std::vector<std::string>*, std::vector<std::int64_t>*>;

  explicit Arguments(CLI::App& app) : app_(app) {}

  void required(const char* name, Place place, const std::string& description);
  void option(const char* name, Place place, const std::string& description);
  /// Values with commas between.
  void list(const char* name, ListPlace place, const std::string& description);
  void flag(const char* name, bool* place, const char* description);
  /// What help says at its end.
  void footer(const char* text);

 private:
  CLI::Option* add(const char* name, Place place, const std::string& description);

  CLI::App& app_;
};

}  // namespace nibble::cli
