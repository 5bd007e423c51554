#include "adapters/files/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {

void Vocabulary::add(std::string text, std::int64_t id) {
  if (id < 0 || id > INT32_MAX) bad_file(origin_, text, fmt::format("{} is no token id", id));
  if (++count_ > kMostTokens) bad_file(origin_, text, fmt::format("is beyond the {} tokens there may be", kMostTokens));
  // Files are mostly in the order of ids; the rest waits until all are known.
  if (id <= static_cast<std::int64_t>(tokens_.size()) + 16 && id <= count_ + kLargestHole) {
    place(std::move(text), id);
  } else {
    later_.emplace_back(std::move(text), id);
  }
}

void Vocabulary::place(std::string text, std::int64_t id) {
  const auto i = static_cast<std::size_t>(id);
  if (i >= tokens_.size()) tokens_.resize(i + 1);
  if (!tokens_[i].empty()) bad_file(origin_, text, fmt::format("has id {}, as another token has", id));
  tokens_[i] = std::move(text);
}

std::vector<std::string> Vocabulary::take() {
  std::ranges::sort(later_, {}, [](const auto& entry) { return entry.second; });
  if (!later_.empty()) {
    const auto& [text, id] = later_.back();
    if (id > count_ + kLargestHole) bad_file(origin_, text, fmt::format("has id {}, far beyond {} tokens", id, count_));
    tokens_.reserve(static_cast<std::size_t>(id) + 1);
  }
  for (auto& [text, id] : later_) place(std::move(text), id);
  later_.clear();
  return std::move(tokens_);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
