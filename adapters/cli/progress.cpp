#include "adapters/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace nibble::cli {

bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }
bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }

Progress::Progress(std::string label, std::int64_t total)
    : label_(std::move(label)), total_(std::max<std::int64_t>(total, 1)), enabled_(stderr_is_terminal()) {}

Progress::~Progress() { clear(); }

void Progress::update(std::int64_t done) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  const bool too_soon = drawn_ && now - last_ < std::chrono::milliseconds(50);
  if (too_soon) return;
  last_ = now;
  drawn_ = true;
  constexpr std::int64_t kWidth = 30;
  const std::int64_t filled = std::clamp<std::int64_t>(done * kWidth / total_, 0, kWidth);
  fmt::print(stderr, "\r{} [{:#<{}}{:.<{}}] {}/{}", label_, "", filled, "", kWidth - filled, done, total_);
  std::fflush(stderr);
}

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace nibble::cli
