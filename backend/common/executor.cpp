#include "backend/common/executor.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "nibble/error.h"
#include "nibble/options.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// How long a thread with nothing to do looks for work before it sleeps: longer than the serial stretch between two
/// parallel regions of one token, in a host too, whose eager operations take 100 µs between two products (to be woken
/// takes 40); short enough to cost an idle process nothing.
constexpr std::chrono::microseconds kSpin{200};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

std::atomic<WhileWaiting> meanwhile{[](int, int) {}};

/// Thread `thread` spins until `done()` or kSpin has passed; whether it is done. The clock is read seldom: it costs
/// more than a pause.
template <class Done>
bool spin_until(int thread, int threads, Done&& done) {
  if (done()) return true;
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      pause();
      if (done()) return true;
      meanwhile.load(std::memory_order_relaxed)(thread, threads);
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

/// One call of parallel_for. It lives on its caller's stack.
class Job {
 public:
  Job(std::int64_t count, TaskRef task) : count_(count), task_(task) {}

  /// Takes and runs tasks until none is left. `closing()` is called by the one thread that took the last task.
  template <class Closing>
  void work(Closing&& closing) {
    for (std::int64_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count_;
         i = next_.fetch_add(1, std::memory_order_relaxed)) {
      if (i == count_ - 1) closing();
      run(i);
    }
  }
  void run(std::int64_t i) noexcept {
    try {
      task_(i);
    } catch (...) {
      if (!failed_.exchange(true, std::memory_order_relaxed)) error_ = std::current_exception();
    }
  }
  /// Once all tasks have ended.
  void rethrow() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const std::int64_t count_;
  const TaskRef task_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
};

/// Where a job is offered to the workers. Slots are never freed, so a worker that comes late reads valid memory: it
/// announces itself in `helpers` first and looks at `job` second, while the owner withdraws the job first and waits
/// for `helpers` second (both sequentially consistent), so that either the worker sees null or the owner waits.
struct alignas(64) Slot {
  std::atomic<Job*> job{nullptr};
  std::atomic<std::uint32_t> helpers{0};
};

/// The threads that all callers share.
///
/// A caller works off its own job and then waits only for workers that are still inside one of its tasks; those wait,
/// if at all, only for jobs that they started themselves. Waiting therefore follows the nesting of calls and cannot
/// close a circle. (A waiting thread takes no foreign tasks: a task may hold a lock that the foreign one wants.)
class Pool {
 public:
  static Pool& instance() {
    static Pool* pool = new Pool;  // never destroyed: its detached threads outlive static destructors
    return *pool;
  }

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  void set_threads(int count) {
    std::lock_guard lock(mutex_);
    threads_.store(count, std::memory_order_relaxed);
    started_.store(false, std::memory_order_relaxed);
    signal_.fetch_add(1);
    signal_.notify_all();  // surplus workers leave
  }

  void run(std::int64_t count, TaskRef task) {
    Job job(count, task);
    const int index = threads() > 1 && count > 1 ? acquire_slot() : -1;
    if (index < 0) {
      job.work([] {});
      return job.rethrow();
    }
    if (!started_.load(std::memory_order_acquire)) start();
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    const std::uint64_t bit = std::uint64_t{1} << index;
    slot.job.store(&job);
    open_.fetch_or(bit);
    wake(count - 1);
    job.work([&] { open_.fetch_and(~bit); });
    slot.job.store(nullptr);
    await(slot);
    owned_.fetch_and(~bit, std::memory_order_release);
    job.rethrow();
  }

 private:
  Pool() : threads_(default_threads()) {}

  static int default_threads() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }

  /// A free slot's index; −1 if all are taken, and the caller then works alone.
  int acquire_slot() {
    std::uint64_t owned = owned_.load(std::memory_order_relaxed);
    while (~owned != 0) {
      const int index = std::countr_one(owned);
      if (owned_.compare_exchange_weak(owned, owned | std::uint64_t{1} << index, std::memory_order_acquire))
        return index;
    }
    return -1;
  }

  void start() {
    std::lock_guard lock(mutex_);
    const auto wanted = static_cast<std::size_t>(threads() - 1);
    if (live_.size() < wanted) live_.resize(wanted, false);
    for (std::size_t id = 0; id < wanted; ++id) {
      if (live_[id]) continue;
      try {
        std::thread([this, id] { worker(id); }).detach();
        live_[id] = true;
      } catch (const std::system_error&) {
        break;  // fewer threads are still right: callers work off what nobody takes
      }
    }
    started_.store(true, std::memory_order_release);
  }

  void wake(std::int64_t helpers) {
    const std::int64_t parked = parked_.load();
    if (parked == 0) return;
    signal_.fetch_add(1);
    if (helpers >= parked) return signal_.notify_all();
    for (std::int64_t i = 0; i < helpers; ++i) signal_.notify_one();
  }

  void await(Slot& slot) const {
    if (spin_until(0, threads(), [&] { return slot.helpers.load() == 0; })) return;
    for (std::uint32_t n = slot.helpers.load(); n != 0; n = slot.helpers.load()) slot.helpers.wait(n);
  }

  void worker(std::size_t id) {
    for (;;) {
      const std::uint32_t signal = signal_.load();
      if (surplus(id)) return;
      const bool found = spin_until(static_cast<int>(id) + 1, threads(), [&] {
        return open_.load(std::memory_order_relaxed) != 0 || signal_.load(std::memory_order_relaxed) != signal;
      });
      if (found) {
        help(id);
        continue;
      }
      parked_.fetch_add(1);
      if (open_.load() == 0) signal_.wait(signal);
      parked_.fetch_sub(1);
    }
  }

  void help(std::size_t id) {
    const std::uint64_t open = open_.load();
    if (open == 0) return;
    // Start at another bit for each worker, so that two callers' jobs both find helpers.
    const int turn = static_cast<int>(id % 64);
    const int index = (std::countr_zero(std::rotr(open, turn)) + turn) % 64;
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    const std::uint64_t bit = std::uint64_t{1} << index;
    slot.helpers.fetch_add(1);
    if (Job* job = slot.job.load()) job->work([&] { open_.fetch_and(~bit); });
    if (slot.helpers.fetch_sub(1) == 1) slot.helpers.notify_all();
  }

  /// Whether worker `id` is one too many; it is then written off and must return.
  bool surplus(std::size_t id) {
    if (static_cast<int>(id) < threads() - 1) return false;
    std::lock_guard lock(mutex_);
    if (static_cast<int>(id) < threads() - 1) return false;
    live_[id] = false;
    return true;
  }

  std::atomic<int> threads_;
  std::atomic<bool> started_{false};                 ///< all threads of threads_ have been started
  alignas(64) std::atomic<std::uint64_t> owned_{0};  ///< slots that belong to a running call
  alignas(64) std::atomic<std::uint64_t> open_{0};   ///< slots whose job has tasks that nobody took
  alignas(64) std::atomic<std::uint32_t> signal_{0};
  std::atomic<std::int64_t> parked_{0};
  std::array<Slot, 64> slots_;
  std::mutex mutex_;
  std::vector<bool> live_;  ///< by worker
};

/// The embedder's pool, if it gave one. Set while nothing runs, hence never freed under a reader.
std::atomic<const Executor*> host{nullptr};

/// Whose threads this call runs on; null for the pool here.
const Executor* executor_in_force() {
  const Executor* own = options().executor;
  return own ? own : host.load(std::memory_order_acquire);
}

/// A loop inside a task of the host's runs on that thread alone: the host's pool need not be able to wait for itself.
thread_local bool in_task_of_host = false;

void run_on(const Executor& executor, std::int64_t count, TaskRef task) {
  Job job(count, task);
  executor.parallel_for(count, [&job](std::int64_t i) {
    const bool outer = std::exchange(in_task_of_host, true);
    job.run(i);
    in_task_of_host = outer;
  });
  job.rethrow();
}

}  // namespace

WhileWaiting while_waiting(WhileWaiting work) { return meanwhile.exchange(work, std::memory_order_relaxed); }

void parallel_for(std::int64_t count, TaskRef task) {
  if (count <= 0) return;
  if (in_task_of_host) {
    for (std::int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  if (const Executor* executor = executor_in_force()) return run_on(*executor, count, task);
  Pool::instance().run(count, task);
}

}  // namespace detail

void set_num_threads(int count) {
  if (count < 1) {
    throw Error(ErrorCode::invalid_argument, "[set_num_threads] " + std::to_string(count) + ": must be at least 1");
  }
  detail::Pool::instance().set_threads(count);
}

int num_threads() {
  if (const Executor* executor = detail::executor_in_force()) return executor->threads;
  return detail::Pool::instance().threads();
}

void set_parallel_for(ParallelFor parallel_for, int threads) {
  if (parallel_for && threads < 1) {
    throw Error(ErrorCode::invalid_argument,
                "[set_parallel_for] " + std::to_string(threads) + " threads: must be at least 1");
  }
  const Executor* next = parallel_for ? new Executor{std::move(parallel_for), threads} : nullptr;
  delete detail::host.exchange(next, std::memory_order_acq_rel);
}

}  // namespace v0
}  // namespace nibble
