#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace files {

/// Looks tokens up by text. Four bytes a token beside the tokens themselves, which must outlive it.
class TokenIndex {
 public:
  explicit TokenIndex(const std::vector<std::string>& tokens) : tokens_(tokens), order_(tokens.size()) {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<std::int32_t>(i);
    // Of equal texts the lowest id comes first, and is the one found.
    std::ranges::sort(order_, [&](std::int32_t a, std::int32_t b) {
      const int order = at(a).compare(at(b));
      return order != 0 ? order < 0 : a < b;
    });
  }

  std::optional<std::int32_t> find(std::string_view text) const {
    const auto found = std::ranges::lower_bound(order_, text, {}, [&](std::int32_t i) { return at(i); });
    if (found == order_.end() || at(*found) != text || text.empty()) return {};
    return *found;
  }
  /// "left right": the ids of both, which together must be a token too.
  std::optional<std::array<std::int32_t, 2>> merge(std::string_view text) const {
    if (text.size() > kLongestMerge) return {};
    // Neither part can begin with a space, but a part may be one in alphabets that have it: the space in the middle
    // counts.
    for (auto space = text.find(' ', 1); space != std::string_view::npos; space = text.find(' ', space + 1)) {
      if (const auto pair = merge(text.substr(0, space), text.substr(space + 1))) return pair;
    }
    return {};
  }
  std::optional<std::array<std::int32_t, 2>> merge(std::string_view left, std::string_view right) const {
    const auto l = find(left), r = find(right);
    if (!l || !r) return {};
    std::string whole(left);
    whole += right;
    if (!find(whole)) return {};
    return std::array{*l, *r};
  }

 private:
  /// Each space of a merge may be the one in the middle: a long run of them would take the square of its length.
  static constexpr std::size_t kLongestMerge = 4096;

  std::string_view at(std::int32_t id) const { return tokens_[static_cast<std::size_t>(id)]; }

  const std::vector<std::string>& tokens_;
  std::vector<std::int32_t> order_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
