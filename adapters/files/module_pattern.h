#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace nibble {
inline namespace v0 {
namespace files {

/// A regular expression that names modules of a model, as PEFT's adapter_config.json has them: it holds for the whole
/// of a module's path, or for a tail of it that begins behind a dot. In Python's dialect as far as PCRE2 shares it.
class ModulePattern {
 public:
  /// Throws Error(invalid_argument) saying what is wrong with it.
  explicit ModulePattern(std::string_view expression);
  ~ModulePattern();
  ModulePattern(const ModulePattern&) = delete;
  ModulePattern& operator=(const ModulePattern&) = delete;

  /// Throws Error(invalid_argument) for a pattern that takes too many steps: it is a stranger's.
  bool matches(std::string_view module) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
