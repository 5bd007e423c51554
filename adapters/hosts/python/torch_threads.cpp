#include "adapters/hosts/python/torch_threads.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <functional>

#include "nibble/device.h"

namespace nibble {
namespace hosts {
namespace {

using Task = std::function<void(std::int64_t)>;

/// The OpenMP library that torch brought along, by the interface of GCC's.
class OpenMp {
 public:
  OpenMp() {
    void* library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return;
    parallel_ = reinterpret_cast<Parallel>(dlsym(library, "GOMP_parallel"));
    max_threads_ = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_max_threads"));
  }

  /// Those of the thread that asks; 1 where there is no such library.
  int threads() const { return parallel_ && max_threads_ ? max_threads_() : 1; }

  void run(std::int64_t count, const Task& task) const {
    struct Loop {
      std::int64_t count;
      const Task& task;
      std::atomic<std::int64_t> next{0};
    };
    Loop loop{count, task};
    const auto work = [](void* data) {
      Loop& shared = *static_cast<Loop*>(data);
      for (std::int64_t i; (i = shared.next.fetch_add(1, std::memory_order_relaxed)) < shared.count;) shared.task(i);
    };
    if (count == 1) return work(&loop);
    parallel_(work, &loop, 0, 0);
  }

 private:
  using Parallel = void (*)(void (*)(void*), void*, unsigned threads, unsigned flags);
  Parallel parallel_ = nullptr;
  int (*max_threads_)() = nullptr;
};

}  // namespace

Options on_torch_threads() {
  static const OpenMp openmp;
  thread_local Executor executor{[](std::int64_t count, const Task& task) { openmp.run(count, task); }, 1};
  executor.threads = openmp.threads();
  Options in_force = options();
  if (!in_force.executor && executor.threads > 1) in_force.executor = &executor;
  return in_force;
}

}  // namespace hosts
}  // namespace nibble
