#include "nibble/options.h"

#include <mutex>

#include "dispatch/route.h"
#include "nibble/error.h"
#include "nibble/transfer.h"
#include "quant_tensor/tensor/counters.h"

namespace nibble {
inline namespace v0 {
namespace {

/// The process default, and a thread's own copy of it: readers see a change by its number and take the lock only then.
std::mutex default_mutex;
Options default_options;
std::atomic<std::uint32_t> default_version{0};

thread_local const Options* override_options = nullptr;

const Options& thread_default() noexcept {
  thread_local Options copy;
  thread_local std::uint32_t version = 0;
  if (const std::uint32_t now = default_version.load(std::memory_order_acquire); now != version) {
    const std::lock_guard lock(default_mutex);
    copy = default_options;
    version = now;
  }
  return copy;
}

/// Throws Error where operations could not run under these options.
void require_usable(const Options& options) {
  detail::backend_for(options.device);
  const Executor* executor = options.executor;
  if (executor && (!executor->parallel_for || executor->threads < 1)) {
    throw Error(ErrorCode::invalid_argument, "[options] executor: parallel_for must be set, and threads at least 1");
  }
}

}  // namespace

const Options& options() noexcept { return override_options ? *override_options : thread_default(); }

void set_default_options(const Options& options) {
  require_usable(options);
  const std::lock_guard lock(default_mutex);
  default_options = options;
  default_version.fetch_add(1, std::memory_order_release);
}

void set_default_device(Device device) {
  detail::backend_for(device);
  const std::lock_guard lock(default_mutex);
  default_options.device = device;
  default_version.fetch_add(1, std::memory_order_release);
}

with::with(const Options& options) : options_(options), previous_(override_options) {
  require_usable(options_);
  override_options = &options_;
}
with::~with() { override_options = previous_; }

Stats stats() noexcept {
  const detail::Counters& c = detail::counters();
  Stats s;
  s.bytes_dequantized = c.bytes_dequantized.load(std::memory_order_relaxed);
  s.bytes_copied = c.bytes_copied.load(std::memory_order_relaxed);
  s.bytes_moved = c.bytes_moved.load(std::memory_order_relaxed);
  s.bytes_allocated = c.bytes_allocated.load(std::memory_order_relaxed);
  s.peak_bytes_allocated = c.peak_bytes_allocated.load(std::memory_order_relaxed);
  s.ops_cpu = c.ops_cpu.load(std::memory_order_relaxed);
  for (const auto& ops : c.ops_vulkan) s.ops_vulkan += ops.load(std::memory_order_relaxed);
  return s;
}

void reset_stats() noexcept {
  detail::Counters& c = detail::counters();
  for (auto* counter : {&c.bytes_dequantized, &c.bytes_copied, &c.bytes_moved, &c.ops_cpu}) {
    counter->store(0, std::memory_order_relaxed);
  }
  for (auto& ops : c.ops_vulkan) ops.store(0, std::memory_order_relaxed);
  c.peak_bytes_allocated.store(c.bytes_allocated.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

std::uint64_t operations(Device device) noexcept {
  const detail::Counters& c = detail::counters();
  return (device == Device::cpu() ? c.ops_cpu : c.ops_vulkan[device.index]).load(std::memory_order_relaxed);
}

}  // namespace v0
}  // namespace nibble
