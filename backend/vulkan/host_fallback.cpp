#include "backend/vulkan/host_fallback.h"

#include <fmt/format.h>

#include "nibble/error.h"
#include "nibble/options.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// An operation that is about to be computed on the CPU though its tensors are elsewhere: refused or counted.
Backend& on_host(std::string_view op, const Tensor& x) {
  const Options& in_force = options();
  if (in_force.transfer == Transfer::error || in_force.fallback == Fallback::error) {
    const bool transfer = in_force.transfer == Transfer::error;
    throw Error(transfer ? ErrorCode::transfer_forbidden : ErrorCode::fallback_forbidden,
                fmt::format("[{}] {} on {}: no kernel there, and {} forbids computing it on the CPU", op, describe(x),
                            nibble::to_string(x.device()), transfer ? "Transfer::error" : "Fallback::error"));
  }
  cpu_backend().count_operation();
  return cpu_backend();
}

Tensor host(const Tensor& t) { return t.defined() ? t.to(Device::cpu()) : t; }
/// A tensor on the host for what will be placed in `t`.
Tensor like(const Tensor& t) { return t.defined() ? make_dense(t.shape(), t.dtype()) : t; }

/// By their names in ReduceOp.
constexpr std::string_view kReductions[] = {"sum", "max", "min", "argmax", "argmin", "logsumexp"};
static_assert(std::size(kReductions) == static_cast<std::size_t>(ReduceOp::count_));

/// What the CPU computes for `out`; `x` is the operand that a refusal names.
template <class Compute>
Tensor computed(std::string_view op, const Tensor& x, const Tensor& out, Compute compute) {
  Backend& cpu = on_host(op, x);
  Tensor result = like(out);
  compute(cpu, result);
  return result;
}

}  // namespace

void HostFallback::arange(const Tensor& out, Scalar start, Scalar step) {
  place(computed("arange", out, out, [&](Backend& cpu, const Tensor& y) { cpu.arange(y, start, step); }), out);
}

void HostFallback::random(const Tensor& out, Distribution distribution, std::uint64_t seed, double a, double b) {
  place(computed(distribution == Distribution::uniform ? "random_uniform" : "random_normal", out, out,
                 [&](Backend& cpu, const Tensor& y) { cpu.random(y, distribution, seed, a, b); }),
        out);
}

void HostFallback::reduce(ReduceOp op, const Tensor& in, const Tensor& out) {
  place(computed(kReductions[static_cast<std::size_t>(op)], in, out,
                 [&](Backend& cpu, const Tensor& y) { cpu.reduce(op, host(in), y); }),
        out);
}

void HostFallback::softmax(const Tensor& in, const Tensor& out, bool log) {
  place(computed(log ? "log_softmax" : "softmax", in, out,
                 [&](Backend& cpu, const Tensor& y) { cpu.softmax(host(in), y, log); }),
        out);
}

void HostFallback::sort(const Tensor& in, bool descending, const Tensor& values, const Tensor& indices) {
  Backend& cpu = on_host("sort", in);
  const Tensor sorted = like(values), order = like(indices);
  cpu.sort(host(in), descending, sorted, order);
  if (values.defined()) place(sorted, values);
  if (indices.defined()) place(order, indices);
}

void HostFallback::take(const Tensor& in, const Tensor& indices, const Tensor& out) {
  place(computed("take", in, out, [&](Backend& cpu, const Tensor& y) { cpu.take(host(in), host(indices), y); }), out);
}

void HostFallback::take_along_last(const Tensor& in, const Tensor& indices, const Tensor& out) {
  place(computed("take_along_axis", in, out,
                 [&](Backend& cpu, const Tensor& y) { cpu.take_along_last(host(in), host(indices), y); }),
        out);
}

void HostFallback::rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) {
  place(
      computed("rms_norm", x, out, [&](Backend& cpu, const Tensor& y) { cpu.rms_norm(host(x), host(weight), eps, y); }),
      out);
}

void HostFallback::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                              const Tensor& out) {
  place(computed("layer_norm", x, out,
                 [&](Backend& cpu, const Tensor& y) { cpu.layer_norm(host(x), host(weight), host(bias), eps, y); }),
        out);
}

void HostFallback::rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
                        const Tensor& out) {
  place(computed("rope", x, out,
                 [&](Backend& cpu, const Tensor& y) {
                   cpu.rope(host(x), host(positions), {host(frequencies.inverse), frequencies.scale}, interleaved, y);
                 }),
        out);
}

void HostFallback::attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal,
                             const Tensor& mask, const Tensor& key_length, const Tensor& out) {
  place(computed("scaled_dot_product_attention", q, out,
                 [&](Backend& cpu, const Tensor& y) {
                   cpu.attention(host(q), host(k), host(v), scale, causal, host(mask), host(key_length), y);
                 }),
        out);
}

void HostFallback::dequantize(const Tensor& packed, const Tensor& out) {
  place(computed("dequantize", packed, out, [&](Backend& cpu, const Tensor& y) { cpu.dequantize(host(packed), y); }),
        out);
}

void HostFallback::quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) {
  Backend& cpu = on_host("quantize", w);
  std::vector<Tensor> results;
  for (const Tensor& component : components) results.push_back(like(component));
  cpu.quantize(host(w), format, results);
  for (std::size_t c = 0; c < results.size(); ++c) place(results[c], components[c]);
}

void HostFallback::multiply(const MatmulArgs& args) {
  if (!args.x_rows.empty() ||
      !args.y_rows.empty()) {  // rows anywhere: no view of x and y would bring them here and back
    throw Error(ErrorCode::unsupported, fmt::format("[matmul] {}: grouped products have no kernel on {}",
                                                    describe(args.w), nibble::to_string(args.y.device())));
  }
  Backend& cpu = on_host("matmul", args.w);
  const Tensor x = host(args.x), w = host(args.w), y = like(args.y);
  const MatmulQuery query{w.is_quantized() ? w.packing()->format : nullptr,
                          w.dtype(),
                          args.orientation,
                          x.size(0),
                          args.precision,
                          args.deterministic};
  const MatmulKernel* kernel = best_kernel(cpu.matmul_kernels(), query);
  kernel->run({x, w, y, args.orientation, args.precision, args.deterministic});
  place(y, args.y);
}

}  // namespace nibble::inline v0::detail::vulkan
