#pragma once

namespace nibble::cli {

/// A signal that asks the program to end, on its way up through whatever must be cleaned up first.
struct Interrupted {
  int signal;
};

/// While it lives, SIGINT, SIGTERM and SIGHUP only leave a note that `check` turns into Interrupted, so that
/// half-written files go. A second signal ends the program at once.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  void check() const;
};

/// Ends the program as the signal would have: the shell is told which one it was.
[[noreturn]] void end_by(const Interrupted& interrupted);

}  // namespace nibble::cli
