#include "adapters/files/module_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <new>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// A pattern of a few dozen characters on a path as long needs some hundred steps; this many take milliseconds.
constexpr std::uint32_t kMostSteps = 100'000, kMostKibibytes = 4096;

[[noreturn]] void fail(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  throw Error(ErrorCode::invalid_argument, reinterpret_cast<const char*>(text.data()));
}

PCRE2_SPTR bytes(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

struct ModulePattern::Code {
  template <class T>
  using Owned = std::unique_ptr<T, void (*)(T*)>;
  Owned<pcre2_code> code{nullptr, pcre2_code_free};
  Owned<pcre2_match_context> limits{pcre2_match_context_create(nullptr), pcre2_match_context_free};
};

ModulePattern::ModulePattern(std::string_view expression) : code_(std::make_unique<Code>()) {
  const std::string whole = fmt::format("(?:.*\\.)?(?:{})", expression);
  int error = 0;
  PCRE2_SIZE at = 0;
  code_->code.reset(
      pcre2_compile(bytes(whole), whole.size(), PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, nullptr));
  if (code_->code == nullptr) fail(error);
  if (code_->limits == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(code_->limits.get(), kMostSteps);
  pcre2_set_heap_limit(code_->limits.get(), kMostKibibytes);
}
ModulePattern::~ModulePattern() = default;

bool ModulePattern::matches(std::string_view module) const {
  const Code::Owned<pcre2_match_data> data(pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (data == nullptr) throw std::bad_alloc();
  const int result =
      pcre2_match(code_->code.get(), bytes(module), module.size(), 0, 0, data.get(), code_->limits.get());
  if (result < 0 && result != PCRE2_ERROR_NOMATCH) fail(result);
  return result >= 0;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
