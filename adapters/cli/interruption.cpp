#include "adapters/cli/interruption.h"

#include <array>
#include <csignal>
#include <cstdlib>

namespace nibble::cli {
namespace {

constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};
volatile std::sig_atomic_t pending = 0;
std::array<struct sigaction, kSignals.size()> before;

extern "C" void note_signal(int signal) { pending = signal; }

}  // namespace

InterruptGuard::InterruptGuard() {
  pending = 0;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before[i]);
    if (before[i].sa_handler == SIG_IGN) continue;  // nohup and background jobs stay deaf
    struct sigaction action {};
    action.sa_handler = note_signal;
    action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
    sigaction(kSignals[i], &action, nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
}

void InterruptGuard::check() const {
  if (pending != 0) throw Interrupted{static_cast<int>(pending)};
}

void end_by(const Interrupted& interrupted) {
  std::signal(interrupted.signal, SIG_DFL);
  std::raise(interrupted.signal);
  std::exit(1);  // the signal was blocked
}

}  // namespace nibble::cli
