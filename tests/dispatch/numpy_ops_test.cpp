// Every plain op against NumPy (tests/goldens/numpy_ops.py), in every dtype and memory layout.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "nibble/error.h"
#include "nibble/io.h"
#include "nibble/ops.h"

namespace nb = nibble;
using nb::DType;
using nb::Tensor;

namespace {

using Inputs = std::vector<Tensor>;
using Op = std::function<Tensor(const Inputs&)>;

Op unary(Tensor (*f)(const Tensor&)) {
  return [f](const Inputs& in) { return f(in[0]); };
}
Op binary(Tensor (*f)(const nb::Operand&, const nb::Operand&)) {
  return [f](const Inputs& in) { return f(in[0], in[1]); };
}
template <class F>
Op of(F f) {
  return [f](const Inputs& in) { return f(in[0]); };
}

using Reduction = Tensor (*)(const Tensor&, const nb::Axes&, bool);

std::map<std::string, Op> operations() {
  std::map<std::string, Op> ops = {
      {"add", binary(nb::add)},
      {"subtract", binary(nb::subtract)},
      {"multiply", binary(nb::multiply)},
      {"divide", binary(nb::divide)},
      {"floor_divide", binary(nb::floor_divide)},
      {"remainder", binary(nb::remainder)},
      {"power", binary(nb::power)},
      {"minimum", binary(nb::minimum)},
      {"maximum", binary(nb::maximum)},
      {"equal", binary(nb::equal)},
      {"not_equal", binary(nb::not_equal)},
      {"less", binary(nb::less)},
      {"less_equal", binary(nb::less_equal)},
      {"greater", binary(nb::greater)},
      {"greater_equal", binary(nb::greater_equal)},
      {"logical_and", binary(nb::logical_and)},
      {"logical_or", binary(nb::logical_or)},
      {"negative", unary(nb::negative)},
      {"abs", unary(nb::abs)},
      {"sign", unary(nb::sign)},
      {"square", unary(nb::square)},
      {"sqrt", unary(nb::sqrt)},
      {"rsqrt", unary(nb::rsqrt)},
      {"reciprocal", unary(nb::reciprocal)},
      {"exp", unary(nb::exp)},
      {"log", unary(nb::log)},
      {"sin", unary(nb::sin)},
      {"cos", unary(nb::cos)},
      {"tanh", unary(nb::tanh)},
      {"erf", unary(nb::erf)},
      {"floor", unary(nb::floor)},
      {"ceil", unary(nb::ceil)},
      {"round", unary(nb::round)},
      {"logical_not", unary(nb::logical_not)},
      {"isnan", unary(nb::isnan)},
      {"isinf", unary(nb::isinf)},
      {"isfinite", unary(nb::isfinite)},
      {"sigmoid", unary(nb::sigmoid)},
      {"relu", unary(nb::relu)},
      {"silu", unary(nb::silu)},
      {"gelu", unary(nb::gelu)},
      {"gelu_tanh", unary(nb::gelu_tanh)},
      {"softmax1", of([](const Tensor& x) { return nb::softmax(x); })},
      {"softmax0", of([](const Tensor& x) { return nb::softmax(x, 0); })},
      {"log_softmax1", of([](const Tensor& x) { return nb::log_softmax(x, 1); })},
      {"sort1", of([](const Tensor& x) { return nb::sort(x); })},
      {"sort0", of([](const Tensor& x) { return nb::sort(x, 0); })},
      {"argsort1", of([](const Tensor& x) { return nb::argsort(x, 1); })},
      {"sort_down1", of([](const Tensor& x) { return nb::sort(x, 1, true); })},
      {"argsort_down1", of([](const Tensor& x) { return nb::argsort(x, 1, true); })},
      {"topk4", of([](const Tensor& x) { return nb::topk(x, 4).values; })},
      {"topk4_indices", of([](const Tensor& x) { return nb::topk(x, 4).indices; })},
      {"reshape", of([](const Tensor& x) {
         return nb::reshape(x, {6, 20});
       })},
      {"reshape_open", of([](const Tensor& x) {
         return nb::reshape(x, {2, -1});
       })},
      {"transpose", of([](const Tensor& x) { return nb::transpose(x); })},
      {"transpose201", of([](const Tensor& x) {
         return nb::transpose(x, {2, 0, -2});
       })},
      {"swapaxes", of([](const Tensor& x) { return nb::swapaxes(x, 0, -1); })},
      {"expand_dims", of([](const Tensor& x) { return nb::expand_dims(x, 2); })},
      {"broadcast_to", of([](const Tensor& x) {
         return nb::broadcast_to(x, {2, 4, 5, 6});
       })},
      {"slice", of([](const Tensor& x) { return nb::slice(x, 1, 1, 4); })},
      {"slice_step", of([](const Tensor& x) { return nb::slice(x, -1, 0, 6, 2); })},
      {"slice_back", of([](const Tensor& x) { return nb::slice(x, 0, 3, -99, -1); })},
      {"slice_back2", of([](const Tensor& x) { return nb::slice(x, 2, 4, 0, -2); })},
      {"slice_empty", of([](const Tensor& x) { return nb::slice(x, 1, 3, 3); })},
      {"slice_clamped", of([](const Tensor& x) { return nb::slice(x, 1, -99, 99); })},
      {"select", of([](const Tensor& x) { return nb::select(x, 1, -2); })},
      {"flip", of([](const Tensor& x) { return nb::flip(x); })},
      {"flip1", of([](const Tensor& x) { return nb::flip(x, {1}); })},
      {"pad", of([](const Tensor& x) {
         return nb::pad(x, {1, 0, 3}, {0, 2, 1}, 1);
       })},
      {"repeat", of([](const Tensor& x) { return nb::repeat(x, 3, 1); })},
      {"tril", of([](const Tensor& x) { return nb::tril(x); })},
      {"tril-1", of([](const Tensor& x) { return nb::tril(x, -1); })},
      {"triu1", of([](const Tensor& x) { return nb::triu(x, 1); })},
      {"concatenate", of([](const Tensor& x) {
         return nb::concatenate(Inputs{x, nb::slice(x, 1, 0, 2)}, 1);
       })},
      {"stack", of([](const Tensor& x) {
         return nb::stack(Inputs{x, x}, -1);
       })},
      {"split", of([](const Tensor& x) { return nb::split(x, 3, 2)[1]; })},
      {"take", of([](const Tensor& x) {
         return nb::take(x, nb::tensor<std::int32_t>({0, -1, 3, 2}, {2, 2}));
       })},
      {"take1", of([](const Tensor& x) {
         return nb::take(x, nb::tensor<std::int64_t>({4, -5, 0}, {3}), 1);
       })},
      {"take_along_axis1", [](const Inputs& in) { return nb::take_along_axis(in[0], in[1], 1); }},
      {"where", [](const Inputs& in) { return nb::where(in[0], in[1], in[2]); }},
  };
  const std::map<std::string, Reduction> reductions = {
      {"sum", nb::sum},
      {"mean", nb::mean},
      {"max", nb::max},
      {"min", nb::min},
      {"logsumexp", nb::logsumexp},
      {"var", [](const Tensor& x, const nb::Axes& a, bool k) { return nb::var(x, a, k); }}};
  const std::map<std::string, nb::Axes> axes = {{"", {}}, {"0", {0}}, {"1", {1}}, {"02", {-1, 0}}};
  for (const auto& [name, reduce] : reductions) {
    for (const auto& [text, list] : axes) {
      ops[name + text] = of([reduce = reduce, list = list](const Tensor& x) { return reduce(x, list, false); });
    }
  }
  for (int axis : {0, 1}) {
    ops["argmax" + std::to_string(axis)] = of([axis](const Tensor& x) { return nb::argmax(x, axis); });
    ops["argmin" + std::to_string(axis)] = of([axis](const Tensor& x) { return nb::argmin(x, axis); });
  }
  for (DType d : {DType::f32, DType::f16, DType::bf16, DType::i8, DType::u8, DType::i32, DType::u32, DType::i64,
                  DType::boolean}) {
    ops[fmt::format("cast_{}", name(d))] = of([d](const Tensor& x) { return nb::cast(x, d); });
  }
  return ops;
}

std::vector<double> values_of(const Tensor& t) { return nb::cast(t, DType::f64).to_vector<double>(); }

/// The place value of the last bit of a float of that dtype and size.
double ulp(DType dtype, double value) {
  const int precision = dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8;
  const int smallest = dtype == DType::f32 ? -149 : dtype == DType::f16 ? -24 : -133;
  int exponent = 0;
  std::frexp(value, &exponent);
  return std::ldexp(1.0, std::max(exponent - precision, smallest));
}
double largest(DType dtype) {
  return dtype == DType::f32 ? 3.4028235677973366e38 : dtype == DType::f16 ? 65520 : 3.3961775292304957e38;
}

bool close(DType dtype, double got, double want, double ulps) {
  if (std::isnan(want)) return std::isnan(got);
  if (got == want) return true;
  if (std::isinf(got)) return std::signbit(got) == std::signbit(want) && std::fabs(want) >= largest(dtype) * (1 - 1e-6);
  return std::fabs(got - want) <= ulps * ulp(dtype, want);
}

/// The same values lying otherwise in memory: axes reversed, every axis backwards, and every other place.
Inputs layouts(const Tensor& x) {
  Inputs out{x};
  if (x.ndim() == 0) return out;
  out.push_back(nb::transpose(nb::contiguous(nb::transpose(x))));
  out.push_back(nb::flip(nb::contiguous(nb::flip(x))));
  out.push_back(nb::slice(nb::repeat(x, 2, x.ndim() - 1), -1, 1, 1 << 20, 2));
  return out;
}

struct Case {
  std::string name;
  Inputs inputs;
  Tensor want;
  DType dtype;
  double ulps;
};

std::vector<Case> cases() {
  const auto file = nb::load_safetensors(NIBBLE_SOURCE_DIR "/tests/goldens/numpy_ops.safetensors");
  std::vector<Case> out;
  for (const auto& [key, tensor] : file.tensors) {
    const auto at = key.find(":out:");
    if (at == std::string::npos) continue;
    const std::string name = key.substr(0, at), rest = key.substr(at + 5);
    const auto colon = rest.find(':');
    Case c{name, {}, tensor, *nb::parse_dtype(rest.substr(0, colon)), std::stod(rest.substr(colon + 1))};
    for (int i = 0; file.tensors.count(fmt::format("{}:{}", name, i)) != 0; ++i) {
      c.inputs.push_back(file.tensors.at(fmt::format("{}:{}", name, i)));
    }
    if (c.inputs.empty()) c.inputs.push_back(file.tensors.at(fmt::format("x{}", name.substr(name.find('/')))));
    out.push_back(std::move(c));
  }
  for (Case& c : out) {
    for (Tensor& input : c.inputs) input = input.to(nb::options().device);
  }
  return out;
}

void check(const Case& c, const Op& op, const Inputs& inputs, const std::string& layout) {
  const Tensor got = op(inputs);
  // The file has no tensors without axes.
  const nb::Shape shape = got.ndim() == 0 && c.want.numel() == 1 ? nb::Shape{} : c.want.shape();
  const std::string want = fmt::format("{} {}", name(c.dtype), to_string(shape));
  ASSERT_EQ(describe(got), want) << c.name << layout;
  const std::vector<double> g = values_of(got), w = values_of(c.want);
  // Devices without float64 add and divide in f32, and Vulkan allows a quotient 2.5 ulps.
  const double slack = got.device() == nb::Device::cpu() ? 1 : 4;
  for (std::size_t i = 0; i < g.size(); ++i) {
    ASSERT_TRUE(close(c.dtype, g[i], w[i], c.ulps * slack))
        << c.name << layout << " at " << i << ": " << fmt::format("{:.9g} for {:.9g}", g[i], w[i]);
  }
}

TEST(NumpyOps, EveryCaseInEveryLayout) {
  const auto ops = operations();
  const auto all = cases();
  EXPECT_GT(all.size(), 500u);
  for (const Case& c : all) {
    const auto op = ops.find(c.name.substr(0, c.name.find('/')));
    ASSERT_NE(op, ops.end()) << c.name;
    std::vector<Inputs> by_layout(layouts(c.inputs[0]).size());
    for (const Tensor& in : c.inputs) {
      const Inputs l = layouts(in);
      for (std::size_t i = 0; i < by_layout.size(); ++i) by_layout[i].push_back(l[std::min(i, l.size() - 1)]);
    }
    for (std::size_t i = 0; i < by_layout.size(); ++i) check(c, op->second, by_layout[i], fmt::format(" layout {}", i));
  }
}

TEST(NumpyOps, EveryOperationHasCases) {
  std::map<std::string, int> seen;
  for (const Case& c : cases()) ++seen[c.name.substr(0, c.name.find('/'))];
  for (const auto& [name, op] : operations()) EXPECT_GT(seen[name], 0) << name;
}

}  // namespace
