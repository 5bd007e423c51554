// What an operation costs beside its arithmetic. The ratio printed is against a plain loop over the same 64 floats, or
// an empty call: measured in the same run.

#include <benchmark/benchmark.h>

#include <vector>

#include "backend/common/executor.h"
#include "nibble/ops.h"

namespace nb = nibble;

namespace {

void plain_loop_64(benchmark::State& state) {
  std::vector<float> a(64, 1.0f), b(64, 2.0f);
  for (auto _ : state) {
    std::vector<float> c(64);
    for (std::size_t i = 0; i < 64; ++i) c[i] = a[i] + b[i];
    benchmark::DoNotOptimize(c.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(plain_loop_64);

void add_64(benchmark::State& state) {  // at most 0.5 µs
  const nb::Tensor a = nb::ones({64}), b = nb::ones({64});
  for (auto _ : state) benchmark::DoNotOptimize(nb::add(a, b));
}
BENCHMARK(add_64);

void add_number(benchmark::State& state) {
  const nb::Tensor a = nb::ones({64});
  for (auto _ : state) benchmark::DoNotOptimize(a + 1);
}
BENCHMARK(add_number);

void transpose(benchmark::State& state) {  // views: at most 0.1 µs
  const nb::Tensor a = nb::ones({8, 64});
  for (auto _ : state) benchmark::DoNotOptimize(nb::transpose(a));
}
BENCHMARK(transpose);

void slice(benchmark::State& state) {
  const nb::Tensor a = nb::ones({8, 64});
  for (auto _ : state) benchmark::DoNotOptimize(nb::slice(a, 0, 1, 3));
}
BENCHMARK(slice);

void reshape(benchmark::State& state) {
  const nb::Tensor a = nb::ones({8, 64});
  for (auto _ : state) benchmark::DoNotOptimize(nb::reshape(a, {64, 8}));
}
BENCHMARK(reshape);

void transpose_packed(benchmark::State& state) {
  const nb::Tensor w = nb::quantize(nb::ones({64, 64}));
  for (auto _ : state) benchmark::DoNotOptimize(nb::transpose(w));
}
BENCHMARK(transpose_packed);

void rms_norm_576(benchmark::State& state) {
  const nb::Tensor x = nb::ones({1, 1, 576}), w = nb::ones({576});
  for (auto _ : state) benchmark::DoNotOptimize(nb::rms_norm(x, w));
}
BENCHMARK(rms_norm_576);

void parallel_region(benchmark::State& state) {  // at most 1 µs while warm
  nb::set_num_threads(static_cast<int>(state.range(0)));
  for (auto _ : state) nb::detail::parallel_for(state.range(0), [](std::int64_t i) { benchmark::DoNotOptimize(i); });
}
BENCHMARK(parallel_region)->Arg(1)->Arg(2);

}  // namespace

BENCHMARK_MAIN();
