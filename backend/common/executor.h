#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "nibble/device.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// A task without its ownership: a function pointer and the closure it reads.
class TaskRef {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::remove_cvref_t<F>, TaskRef>>>
  TaskRef(F&& f) noexcept
      : closure_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* c, std::int64_t i) { (*static_cast<std::remove_reference_t<F>*>(c))(i); }) {}
  void operator()(std::int64_t i) const { call_(closure_, i); }

 private:
  void* closure_;
  void (*call_)(void*, std::int64_t);
};

/// Calls task(i) once for each i in [0, count), on the pool that all callers share (or the host's), and returns when
/// all are done. Callers from many threads, and calls from inside a task, never deadlock: whoever waits works. An
/// exception of a task is thrown again here, the first one, after all tasks have ended.
void parallel_for(std::int64_t count, TaskRef task);

/// What a thread of the pool does again and again while it looks for work, or waits for the end of its last job:
/// something short, that nobody misses where it is not done. `thread` is 0 for who called, else 1 to `threads` − 1.
/// Returns what it was before.
using WhileWaiting = void (*)(int thread, int threads);
WhileWaiting while_waiting(WhileWaiting work);

/// Splits [0, total) into at most num_threads() runs of at least `grain` (each a multiple of `multiple`) and calls
/// body(begin, end) for each; runs inline where there would be one.
template <class Body>
void parallel_ranges(std::int64_t total, std::int64_t grain, std::int64_t multiple, Body&& body) {
  if (total <= 0) return;
  const std::int64_t units = (total + multiple - 1) / multiple;
  const std::int64_t most = total / (grain > 0 ? grain : 1);
  std::int64_t parts = num_threads();
  if (parts > most) parts = most;
  if (parts > units) parts = units;
  if (parts <= 1) return body(std::int64_t{0}, total);
  parallel_for(parts, [&](std::int64_t i) {
    const std::int64_t begin = units * i / parts * multiple;
    const std::int64_t end = units * (i + 1) / parts * multiple;
    body(begin, end < total ? end : total);
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
