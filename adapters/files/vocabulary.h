#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace nibble {
inline namespace v0 {
namespace files {

/// Collects tokens by id out of a file, and does not trust the ids: holes are allowed, but few.
class Vocabulary {
 public:
  static constexpr std::int64_t kLargestHole = 8192;  // what is made of a token later takes hundreds of bytes
  static constexpr std::int64_t kMostTokens = 1 << 20;

  explicit Vocabulary(std::filesystem::path origin) : origin_(std::move(origin)) {}
  /// Throws Error(invalid_file) for an id that is negative, taken, or far beyond the tokens there are, and
  /// where there are more than any model has.
  void add(std::string text, std::int64_t id);
  std::vector<std::string> take();

 private:
  void place(std::string text, std::int64_t id);

  std::filesystem::path origin_;
  std::vector<std::string> tokens_;
  std::int64_t count_ = 0;                                  // of tokens, without the holes
  std::deque<std::pair<std::string, std::int64_t>> later_;  // ids ahead of their turn
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
