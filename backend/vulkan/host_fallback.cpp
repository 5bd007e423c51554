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

}  // namespace

void HostFallback::copy(const Tensor& in, const Tensor& out) {
  Backend& cpu = on_host("copy", in);
  const Tensor result = like(out);
  cpu.copy(host(in), result);
  place(result, out);
}

void HostFallback::fill(const Tensor& out, Scalar value) {
  Backend& cpu = on_host("fill", out);
  const Tensor result = like(out);
  cpu.fill(result, value);
  place(result, out);
}

void HostFallback::arange(const Tensor& out, Scalar start, Scalar step) {
  Backend& cpu = on_host("arange", out);
  const Tensor result = like(out);
  cpu.arange(result, start, step);
  place(result, out);
}

void HostFallback::random(const Tensor& out, Distribution distribution, std::uint64_t seed, double a, double b) {
  Backend& cpu = on_host("random", out);
  const Tensor result = like(out);
  cpu.random(result, distribution, seed, a, b);
  place(result, out);
}

void HostFallback::unary(UnaryOp op, const Tensor& in, const Tensor& out) {
  Backend& cpu = on_host("unary", in);
  const Tensor result = like(out);
  cpu.unary(op, host(in), result);
  place(result, out);
}

void HostFallback::binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) {
  Backend& cpu = on_host("binary", a);
  const Tensor result = like(out);
  cpu.binary(op, host(a), host(b), result);
  place(result, out);
}

void HostFallback::where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) {
  Backend& cpu = on_host("where", a);
  const Tensor result = like(out);
  cpu.where(host(condition), host(a), host(b), result);
  place(result, out);
}

void HostFallback::reduce(ReduceOp op, const Tensor& in, const Tensor& out) {
  Backend& cpu = on_host("reduce", in);
  const Tensor result = like(out);
  cpu.reduce(op, host(in), result);
  place(result, out);
}

void HostFallback::softmax(const Tensor& in, const Tensor& out, bool log) {
  Backend& cpu = on_host("softmax", in);
  const Tensor result = like(out);
  cpu.softmax(host(in), result, log);
  place(result, out);
}

void HostFallback::sort(const Tensor& in, bool descending, const Tensor& values, const Tensor& indices) {
  Backend& cpu = on_host("sort", in);
  const Tensor sorted = like(values), order = like(indices);
  cpu.sort(host(in), descending, sorted, order);
  if (values.defined()) place(sorted, values);
  if (indices.defined()) place(order, indices);
}

void HostFallback::take(const Tensor& in, const Tensor& indices, const Tensor& out) {
  Backend& cpu = on_host("take", in);
  const Tensor result = like(out);
  cpu.take(host(in), host(indices), result);
  place(result, out);
}

void HostFallback::take_along_last(const Tensor& in, const Tensor& indices, const Tensor& out) {
  Backend& cpu = on_host("take_along_axis", in);
  const Tensor result = like(out);
  cpu.take_along_last(host(in), host(indices), result);
  place(result, out);
}

void HostFallback::rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) {
  Backend& cpu = on_host("rms_norm", x);
  const Tensor result = like(out);
  cpu.rms_norm(host(x), host(weight), eps, result);
  place(result, out);
}

void HostFallback::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                              const Tensor& out) {
  Backend& cpu = on_host("layer_norm", x);
  const Tensor result = like(out);
  cpu.layer_norm(host(x), host(weight), host(bias), eps, result);
  place(result, out);
}

void HostFallback::rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
                        const Tensor& out) {
  Backend& cpu = on_host("rope", x);
  const Tensor result = like(out);
  cpu.rope(host(x), host(positions), {host(frequencies.inverse), frequencies.scale}, interleaved, result);
  place(result, out);
}

void HostFallback::attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal,
                             const Tensor& mask, const Tensor& key_length, const Tensor& out) {
  Backend& cpu = on_host("scaled_dot_product_attention", q);
  const Tensor result = like(out);
  cpu.attention(host(q), host(k), host(v), scale, causal, host(mask), host(key_length), result);
  place(result, out);
}

void HostFallback::dequantize(const Tensor& packed, const Tensor& out) {
  Backend& cpu = on_host("dequantize", packed);
  const Tensor result = like(out);
  cpu.dequantize(host(packed), result);
  place(result, out);
}

void HostFallback::quantize(const Tensor& w, const Format& format, std::span<const Tensor> components) {
  Backend& cpu = on_host("quantize", w);
  std::vector<Tensor> results;
  for (const Tensor& component : components) results.push_back(like(component));
  cpu.quantize(host(w), format, results);
  for (std::size_t c = 0; c < results.size(); ++c) place(results[c], components[c]);
}

void HostFallback::multiply(const MatmulArgs& args) {
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

std::vector<LoopRate> HostFallback::measure_reading(const Tensor&, std::string_view) {
  throw Error(ErrorCode::unsupported, "[measure_reading] has no loops for Vulkan devices yet");
}
std::vector<LoopRate> HostFallback::measure_arithmetic(Arithmetic, std::string_view) {
  throw Error(ErrorCode::unsupported, "[measure_arithmetic] has no loops for Vulkan devices yet");
}

}  // namespace nibble::inline v0::detail::vulkan
