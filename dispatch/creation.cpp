#include <fmt/format.h>

#include <cmath>

#include "dispatch/route.h"
#include "dispatch/validation.h"

namespace nibble {
inline namespace v0 {
namespace {

using namespace detail;

Backend& creating_backend() { return counted_backend(options().device); }

Tensor random(std::string_view op, const Shape& shape, Distribution distribution, std::uint64_t seed, double a,
              double b, DType dtype) {
  if (!is_arithmetic_float(dtype)) {
    refuse(ErrorCode::dtype_mismatch, op, fmt::format("{} {}", name(dtype), to_string(shape)),
           "random numbers are f32, f16 or bf16");
  }
  Backend& backend = creating_backend();
  Tensor out = backend.allocate(shape, dtype);
  backend.random(out, distribution, seed, a, b);
  return out;
}

}  // namespace

Tensor full(const Shape& shape, Scalar value, DType dtype) {
  Backend& backend = creating_backend();
  Tensor out = backend.allocate(shape, dtype);
  backend.fill(out, value);
  return out;
}

Tensor zeros(const Shape& shape, DType dtype) { return full(shape, 0, dtype); }
Tensor ones(const Shape& shape, DType dtype) { return full(shape, 1, dtype); }
Tensor empty(const Shape& shape, DType dtype) { return creating_backend().allocate(shape, dtype); }

Tensor arange(Scalar start, Scalar stop, Scalar step, DType dtype) {
  const auto text = [&] {
    return fmt::format("{} to {} by {}", start.as_double(), stop.as_double(), step.as_double());
  };
  const double steps = std::ceil((stop.as_double() - start.as_double()) / step.as_double());
  if (step.as_double() == 0 || std::isnan(steps)) {
    refuse(ErrorCode::invalid_argument, "arange", text(), "the step must lead from start to stop");
  }
  if (steps > 0x1p53) refuse(ErrorCode::invalid_argument, "arange", text(), "too many elements");
  Backend& backend = creating_backend();
  Tensor out = backend.allocate({steps > 0 ? static_cast<std::int64_t>(steps) : 0}, dtype);
  backend.arange(out, start, step);
  return out;
}

Tensor random_uniform(const Shape& shape, std::uint64_t seed, double low, double high, DType dtype) {
  return random("random_uniform", shape, Distribution::uniform, seed, low, high, dtype);
}
Tensor random_normal(const Shape& shape, std::uint64_t seed, double mean, double stddev, DType dtype) {
  return random("random_normal", shape, Distribution::normal, seed, mean, stddev, dtype);
}

}  // namespace v0
}  // namespace nibble
