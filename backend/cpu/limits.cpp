// The rates that the loops of units/*_probe.cpp reach.

#include "nibble/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "backend/common/executor.h"
#include "backend/cpu/blocking.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/units/probe.h"
#include "backend/cpu/units/select.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

using cpu::Probes;

/// Calls visit(probes) for what the unit has; for the one in use where none is named.
template <class Visit>
void for_each_probes(std::string_view name, Visit&& visit) {
  const cpu::Unit* unit = name.empty() ? &cpu::current_unit() : cpu::find_unit(name);
  if (unit == nullptr) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[limits] {}: no unit of this machine", name));
  }
  visit(*unit->probes);
  const cpu::Bf16Unit* bf16 = cpu::bf16_of(*unit);
  if (bf16 != nullptr && bf16->probes != nullptr) visit(*bf16->probes);
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Seconds that task(i) takes for all i in [0, count), workers being awake.
double time_parallel(std::int64_t count, TaskRef task) {
  parallel_for(num_threads(), [](std::int64_t) {});
  const auto begin = std::chrono::steady_clock::now();
  parallel_for(count, task);
  return seconds_since(begin);
}

double operations_per_second(const cpu::ArithmeticLoop& loop) {
  constexpr double kSeconds = 1e-3;
  std::int64_t rounds = 1000;
  for (;; rounds *= 2) {  // how many rounds a burst needs
    const auto begin = std::chrono::steady_clock::now();
    loop.run(rounds);
    if (const double taken = seconds_since(begin); taken > kSeconds / 8) {
      rounds = static_cast<std::int64_t>(static_cast<double>(rounds) * kSeconds / taken) + 1;
      break;
    }
  }
  const int threads = num_threads();
  const double taken = time_parallel(threads, [&](std::int64_t) { loop.run(rounds); });
  return static_cast<double>(threads) * static_cast<double>(rounds) * loop.operations / taken;
}

static_assert(static_cast<int>(Arithmetic::fp32) == static_cast<int>(cpu::ProbedArithmetic::fp32) &&
              static_cast<int>(Arithmetic::int8) == static_cast<int>(cpu::ProbedArithmetic::int8));

}  // namespace

std::uint64_t CpuBackend::cache_bytes() { return static_cast<std::uint64_t>(cpu::caches().largest); }

std::vector<LoopRate> CpuBackend::measure_reading(const Tensor& buffer, std::string_view unit) {
  const auto* bytes = static_cast<const unsigned char*>(buffer.raw_data());
  const auto chunks = static_cast<std::int64_t>(buffer.nbytes()) / cpu::kProbeChunk;
  std::vector<LoopRate> rates;
  for_each_probes(unit, [&](const Probes& probes) {
    for (int i = 0; i < probes.reader_count; ++i) {
      const cpu::Reader& reader = probes.readers[i];
      const std::int64_t first = chunks * i / probes.reader_count, end = chunks * (i + 1) / probes.reader_count;
      const double taken = time_parallel(end - first, [&](std::int64_t chunk) {
        reader.run(bytes + (first + chunk) * cpu::kProbeChunk, cpu::kProbeChunk);
      });
      rates.push_back({reader.name, static_cast<double>((end - first) * cpu::kProbeChunk) / taken});
    }
  });
  return rates;
}

std::vector<LoopRate> CpuBackend::measure_arithmetic(Arithmetic kind, std::string_view unit) {
  std::vector<LoopRate> rates;
  for_each_probes(unit, [&](const Probes& probes) {
    for (int i = 0; i < probes.loop_count; ++i) {
      const cpu::ArithmeticLoop& loop = probes.loops[i];
      if (loop.kind == static_cast<cpu::ProbedArithmetic>(kind))
        rates.push_back({loop.name, operations_per_second(loop)});
    }
  });
  return rates;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
