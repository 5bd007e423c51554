// The rates that shaders/probe_*.glsl reach, and copying.
#include <fmt/format.h>

#include <chrono>

#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "nibble/error.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

struct Probe {
  const char* loop;
  const char* shader;
  double operations;  ///< of a step of one chain of an invocation
  double chains = 12;
  std::array<std::uint32_t, 3> constants = {};
};
/// What this device has of what `kind` may be computed with.
std::vector<Probe> probes_of(Arithmetic kind, const Features& features) {
  std::vector<Probe> probes;
  if (kind == Arithmetic::fp32) probes.push_back({"products and sums", "probe_fp32", 2});
  if (kind == Arithmetic::f16 && features.halves) probes.push_back({"products and sums of pairs", "probe_f16", 4});
  if (kind == Arithmetic::int8 && features.dot_products) probes.push_back({"dot products of four", "probe_int8", 8});
  const MatrixShape m = features.matrices;
  if (kind == Arithmetic::f16 && m.k != 0 && find_shader("probe_matrices")) {
    probes.push_back(
        {"cooperative matrices", "probe_matrices", 2.0 * m.m * m.n * m.k / features.subgroup_size, 4, {m.m, m.n, m.k}});
  }
  return probes;
}

constexpr double kSteps = 8;        // of a round of one chain, as shaders/probe.glsl says
constexpr double kSeconds = 20e-3;  // of a measurement: many times what submitting takes
constexpr int kBursts = 5;          // of which the quickest counts: others do not have the device to themselves
constexpr std::uint32_t kMostRounds = 1u << 24;

void require_no_unit(std::string_view op, std::string_view unit) {
  if (!unit.empty())
    throw Error(ErrorCode::invalid_argument, fmt::format("[{}] {}: Vulkan devices have no units", op, unit));
}

/// Seconds that what `record` records takes; `written` is something that it writes.
template <class Record>
double seconds_of(Context& context, const Tensor& written, Record record) {
  const Tensor word = make_view(written, {1}, {1}, written.impl().offset);
  std::uint64_t ignored = 0;
  context.download(word, &ignored);
  const auto begin = std::chrono::steady_clock::now();
  record();
  context.download(word, &ignored);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double rate(Context& context, const Probe& probe) {
  struct Arguments {
    std::uint64_t out;
    std::uint32_t rounds, seed;
  };
  // Enough for every core of a large device to hide its latencies; few where the processor plays it.
  const std::uint32_t workgroups = context.found().is_software() ? 64 : 8192;
  const std::uint64_t invocations = std::uint64_t{workgroups} * kElementWorkgroup;
  const Tensor out = context.allocate({static_cast<std::int64_t>(invocations)}, DType::u32);
  const auto seconds = [&](std::uint32_t rounds) {
    return seconds_of(context, out, [&] {
      const Arguments arguments{address_of(out), rounds, 3};
      context.dispatch({probe.shader, kElementWorkgroup, {probe.constants[0], probe.constants[1], probe.constants[2]}},
                       std::as_bytes(std::span(&arguments, 1)), {workgroups, 1, 1}, {}, {&out, 1});
    });
  };
  std::uint32_t rounds = 64;
  double taken = seconds(rounds);  // the first one makes the pipeline
  while ((taken = seconds(rounds)) < kSeconds && rounds < kMostRounds) rounds *= 2;
  for (int i = 0; i < kBursts; ++i) taken = std::min(taken, seconds(rounds));
  return static_cast<double>(invocations) * rounds * kSteps * probe.chains * probe.operations / taken;
}

double read_rate(Context& context, const Tensor& buffer) {
  struct Arguments {
    std::uint64_t out, in;
    std::uint32_t pieces;
  };
  const Tensor out = context.allocate({4}, DType::u32);
  const Arguments arguments{address_of(out), address_of(buffer), static_cast<std::uint32_t>(buffer.nbytes() / 16)};
  const auto seconds = [&] {
    return seconds_of(context, out, [&] {
      context.dispatch({"probe_read", kElementWorkgroup}, std::as_bytes(std::span(&arguments, 1)), {4096, 1, 1},
                       {&buffer, 1}, {&out, 1});
    });
  };
  seconds();  // makes the pipeline
  return 16.0 * arguments.pieces / seconds();
}

/// Copies the first half over a tensor of that size.
double copy_rate(Context& context, const Tensor& buffer) {
  const auto count = static_cast<std::int64_t>(buffer.numel() / 2);
  const Tensor half = make_view(buffer, {count}, {1}, buffer.impl().offset);
  const Tensor to = context.allocate({count}, buffer.dtype());
  const auto seconds = [&] { return seconds_of(context, to, [&] { context.copy(half, to); }); };
  seconds();  // which gives its pages memory
  return 2.0 * static_cast<double>(half.nbytes()) / seconds();
}

}  // namespace

std::uint64_t VulkanBackend::cache_bytes() { return context_.found().is_software() ? cpu_backend().cache_bytes() : 0; }

std::vector<LoopRate> VulkanBackend::measure_reading(const Tensor& buffer, std::string_view unit) {
  require_no_unit("measure_reading", unit);
  return {{"read", read_rate(context_, buffer)}, {"copied", copy_rate(context_, buffer)}};
}

std::vector<LoopRate> VulkanBackend::measure_arithmetic(Arithmetic kind, std::string_view unit) {
  require_no_unit("measure_arithmetic", unit);
  std::vector<LoopRate> rates;
  for (const Probe& probe : probes_of(kind, context_.found().features)) {
    rates.push_back({probe.loop, rate(context_, probe)});
  }
  return rates;
}

}  // namespace nibble::inline v0::detail::vulkan
