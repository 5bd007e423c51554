#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace nibble::cli {

/// A bar on standard error while long work goes on, where that is a terminal; nothing in a pipe. It erases itself.
class Progress {
 public:
  Progress(std::string label, std::int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::int64_t done);
  void clear();

 private:
  std::string label_;
  std::int64_t total_;
  bool enabled_, drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

/// Whether people read standard error as it is written.
bool stderr_is_terminal();
bool stdin_is_terminal();

}  // namespace nibble::cli
