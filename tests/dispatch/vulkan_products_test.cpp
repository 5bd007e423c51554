// Every kernel for products that a device has, asked one by one, against fp64 sums over the decoded values: random
// shapes, layouts, formats and dtypes: a few of them, since most are compiled anew; with NIBBLE_SOAK=1 a thousand
// shapes of every format, ten for each shader that is compiled.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backend/common/backend.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "quant_tensor/tensor/tensor_impl.h"
#include "tests/backend/kernel_data.h"
#include "tests/dispatch/on_vulkan.h"

namespace {

namespace nb = nibble;
using nb::DType;
using nb::Tensor;
using nb::detail::MatmulKernel;
using nb::detail::Orientation;
using Random = std::mt19937;

std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}
DType pick_dtype(Random& random) {
  constexpr DType kDTypes[] = {DType::f32, DType::f32, DType::f16, DType::bf16};
  return kDTypes[pick(random, 0, 3)];
}

/// All but the sizes of a product, which a shader is compiled for: what operands are and how they lie.
struct Kind {
  const nb::detail::Format* format = nullptr;  ///< of w; dense where there is none
  DType scales{}, x{}, y{};
  std::int64_t x_layout = 0, w_layout = 0;
  std::int64_t least_rows = 1, most_rows = 1;
  bool rows_anywhere = false;
};
Kind pick_kind(Random& random, const nb::detail::Format* format, bool few_rows) {
  Kind kind{format, pick_dtype(random), pick_dtype(random), pick_dtype(random)};
  kind.x_layout = pick(random, 0, 5);
  kind.w_layout = pick(random, 0, 5);
  const std::int64_t exponent = pick(random, 0, 3);
  kind.most_rows = std::int64_t{1} << exponent;
  kind.least_rows = kind.most_rows / 2 + 1;
  if (!few_rows && pick(random, 0, 3) == 0) kind.least_rows = 9, kind.most_rows = 40;
  kind.rows_anywhere = pick(random, 0, 3) == 0;
  return kind;
}

/// (rows, columns) of normal values on the host: contiguous, turned, backwards, a part of something wider, or one row
/// for all.
Tensor matrix(Random& random, std::int64_t rows, std::int64_t columns, DType dtype, std::int64_t layout) {
  const auto normal = [&](const nb::Shape& shape) { return nb::cast(nb::random_normal(shape, random()), dtype); };
  switch (layout) {
    case 0: return nb::transpose(normal({columns, rows}));
    case 1: return nb::flip(normal({rows, columns}), {0, 1});
    case 2: return nb::slice(normal({rows, columns + 5}), 1, 3, columns + 3);
    case 3: return nb::broadcast_to(normal({1, columns}), {rows, columns});
    default: return normal({rows, columns});
  }
}

/// A view of packed weights (rows, length): all rows or every other one, from the first on or from inside of rows.
Tensor weights(Random& random, const nb::detail::Format& format, std::int64_t rows, std::int64_t length, DType scales,
               std::int64_t layout) {
  const std::int64_t before = layout % 2 * 256, step = layout % 3 == 0 ? 2 : 1, first = pick(random, 0, 3);
  const Tensor packed = nibble_test::packed_matrix(format, first + rows * step, before + length, scales, random);
  return nb::slice(nb::slice(packed, 0, first, first + rows * step, static_cast<int>(step)), 1, before,
                   before + length);
}

std::vector<double> doubles(const Tensor& t) {
  const auto values = nb::dequantize(t, DType::f32).to_vector<float>();
  return {values.begin(), values.end()};
}

/// How much a sum of so many terms may err, as a share of both norms. Bytes of normal numbers err one by one, and so by
/// less than what fast products may: less than an entry of x that was left out would.
double bound_of(nb::Precision precision, std::int64_t terms) {
  return precision == nb::Precision::fast ? std::min(2e-2, 0.05 / std::sqrt(static_cast<double>(terms))) : 1e-6;
}

/// Whether y is x · wᵀ (along) or x · w (across) within the kernel's precision, and that of y's dtype.
void expect_product(const Tensor& x, const Tensor& w, Orientation orientation, const Tensor& y,
                    nb::Precision precision = nb::Precision::exact) {
  const bool along = orientation == Orientation::along;
  const std::int64_t contracted = x.size(1), outputs = y.size(1), length = w.size(1);
  const auto xs = doubles(x), ws = doubles(w), ys = doubles(y);
  const double rounding = y.dtype() == DType::f32 ? 0 : y.dtype() == DType::f16 ? 0x1p-11 : 0x1p-8;
  for (std::int64_t m = 0; m < y.size(0); ++m) {
    for (std::int64_t n = 0; n < outputs; ++n) {
      double sum = 0, xx = 0, ww = 0;
      for (std::int64_t i = 0; i < contracted; ++i) {
        const double a = xs[static_cast<std::size_t>(m * contracted + i)];
        const double b = ws[static_cast<std::size_t>(along ? n * length + i : i * length + n)];
        sum += a * b, xx += a * a, ww += b * b;
      }
      // Beneath f16's normal numbers a step is 2^-24. Bytes of weights that are all zero cancel but for a rounding.
      const double least = rounding > 0 ? 0x1p-25 : precision == nb::Precision::fast ? 1e-10 * std::sqrt(xx) : 1e-37;
      const double bound = bound_of(precision, contracted) * std::sqrt(xx * ww) + rounding * std::abs(sum) + least;
      ASSERT_NEAR(ys[static_cast<std::size_t>(m * outputs + n)], sum, bound) << m << ' ' << n;
    }
  }
}

class VulkanProducts : public nb::tests::OnVulkan {
 protected:
  /// The device's kernels; not those of the CPU.
  static std::vector<MatmulKernel> kernels() {
    std::vector<MatmulKernel> own;
    for (const MatmulKernel& kernel : nb::detail::vulkan_backend(device().index).matmul_kernels()) {
      if (kernel.name != "host") own.push_back(kernel);
    }
    return own;
  }

  /// One product of a random shape by this kernel. False where the kernel does not take it.
  static bool expect_random_product(Random& random, const MatmulKernel& kernel, const Kind& kind) {
    const auto orientation = kernel.name.starts_with("across") ? Orientation::across : Orientation::along;
    const nb::detail::Format* const format = kind.format;
    const std::int64_t rows = pick(random, kind.least_rows, kind.most_rows), n = pick(random, 1, 70);
    const std::int64_t block = format ? format->block : 1;
    const std::int64_t k = block * pick(random, 1, format ? std::max<std::int64_t>(1, 640 / block) : 300);
    const nb::detail::MatmulQuery query{format, kind.scales, orientation, rows, kernel.precision, false};
    if (!kernel.supports(query)) return false;
    const Tensor w = format ? weights(random, *format, n, k, kind.scales, kind.w_layout)
                            : matrix(random, n, k, kind.scales, kind.w_layout);
    const bool along = orientation == Orientation::along;
    const Tensor x = matrix(random, rows, along ? k : n, kind.x, kind.x_layout);
    const std::int64_t outputs = along ? n : k;
    nb::detail::Backend& backend = nb::detail::vulkan_backend(device().index);
    const Tensor there = x.to(device()), wide = backend.allocate({rows, outputs + 3}, kind.y);
    backend.fill(wide, -7);
    const Tensor y = nb::slice(wide, 1, 1, outputs + 1);
    SCOPED_TRACE(nb::describe(x) + " · " + nb::describe(w));
    if (kind.rows_anywhere) {
      std::vector<std::int64_t> x_rows, y_rows;
      for (std::int64_t m = 0; m < rows; ++m) {
        x_rows.push_back((rows - 1 - m) * there.impl().strides[0]);
        y_rows.push_back((rows - 1 - m) * (outputs + 3));
      }
      const auto first = [](const Tensor& t) { return nb::slice(t, 0, 0, 1); };
      kernel.run({first(there), w.to(device()), first(y), orientation, nb::Precision::exact, false, x_rows, y_rows});
    } else {
      kernel.run({there, w.to(device()), y, orientation, nb::Precision::exact, false});
    }
    expect_product(x, w, orientation, y.to(nb::Device::cpu()), kernel.precision);
    EXPECT_EQ(doubles(nb::slice(wide, 1, outputs + 1, outputs + 3).to(nb::Device::cpu())),
              std::vector<double>(static_cast<std::size_t>(2 * rows), -7.0));
    return true;
  }
};

TEST_F(VulkanProducts, OfRandomShapesAreThoseOfFp64) {
  const bool soak = std::getenv("NIBBLE_SOAK") != nullptr;
  const unsigned seed = soak ? 1 : std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  std::vector<const nb::detail::Format*> formats{nullptr};
  const auto table = nb::detail::format_table();
  formats.insert(formats.end(), table.begin(), table.end());
  const auto any_format = [&] {
    return formats[static_cast<std::size_t>(pick(random, 0, static_cast<std::int64_t>(formats.size()) - 1))];
  };
  const int wanted = soak ? 1000 : 2, for_each = soak ? 10 : 1;
  for (const MatmulKernel& kernel : kernels()) {
    SCOPED_TRACE(std::string(kernel.name));
    int done = 0;
    for (std::size_t i = 0; done < wanted && !HasFatalFailure(); ++i) {
      const Kind kind =
          pick_kind(random, soak ? formats[i % formats.size()] : any_format(), kernel.name.starts_with("gemv"));
      for (int shape = 0; shape < for_each && !HasFatalFailure(); ++shape) {
        done += expect_random_product(random, kernel, kind) ? 1 : 0;
      }
    }
    if (soak) std::cout << kernel.name << ": " << done << " products" << std::endl;
  }
}

// What f16 scales and zero points multiply and add must not be rounded to f16 again.
TEST_F(VulkanProducts, ZeroPointsBetweenCodesAreKept) {
  const std::int64_t n = 24, k = 128, group = 64;
  std::vector<std::uint32_t> codes;
  Random random(3);
  for (std::int64_t i = 0; i < n * k / 8; ++i) codes.push_back(static_cast<std::uint32_t>(random()));
  const Tensor scales = nb::cast(nb::random_uniform({n, k / group}, 4, 0.05, 0.15), DType::f16);
  const Tensor biases = nb::cast(nb::multiply(nb::cast(scales, DType::f32), -5.5), DType::f16);
  const Tensor w = nb::from_quantized(nb::from_data(std::span<const std::uint32_t>(codes), {n, k / 8}), scales, biases,
                                      {.bits = 4, .group_size = static_cast<int>(group)});
  for (const MatmulKernel& kernel : kernels()) {
    const auto orientation = kernel.name.starts_with("across") ? Orientation::across : Orientation::along;
    const Tensor x = nb::cast(nb::random_normal({3, orientation == Orientation::along ? k : n}, 5), DType::f16);
    const Tensor y =
        nb::detail::vulkan_backend(device().index).allocate({3, orientation == Orientation::along ? n : k}, DType::f32);
    kernel.run({x.to(device()), w.to(device()), y, orientation, nb::Precision::exact, false});
    SCOPED_TRACE(std::string(kernel.name));
    expect_product(x, w, orientation, y.to(nb::Device::cpu()), kernel.precision);
  }
}

// Entries that no byte stands for, or no number of f16: rows that hold them, and only those, are computed from x
// itself.
TEST_F(VulkanProducts, OfWhatNarrowNumbersCannotHoldAreThoseOfFloats) {
  const std::int64_t n = 20, k = 128;
  const Tensor w = nb::quantize(nb::random_normal({n, k}, 1), {.bits = 4, .group_size = 32});
  const Tensor tiny = nb::multiply(nb::random_normal({1, k}, 2), 1e-32),
               huge = nb::multiply(nb::random_normal({1, k}, 4), 1e36);
  const Tensor infinite = nb::full({1, k}, std::numeric_limits<float>::infinity());
  const Tensor parts[] = {nb::random_normal({1, k}, 3), tiny, nb::zeros({1, k}), huge, infinite};
  const Tensor x = nb::concatenate(parts, 0);
  for (const MatmulKernel& kernel : kernels()) {
    if (kernel.precision == nb::Precision::exact) continue;
    SCOPED_TRACE(std::string(kernel.name));
    const Tensor y = nb::detail::vulkan_backend(device().index).allocate({5, n}, DType::f32);
    kernel.run({x.to(device()), w.to(device()), y, Orientation::along, kernel.precision, false});
    const Tensor got = y.to(nb::Device::cpu());
    expect_product(nb::slice(x, 0, 0, 4), w, Orientation::along, nb::slice(got, 0, 0, 4), kernel.precision);
    for (const double value : doubles(nb::slice(got, 0, 4, 5))) EXPECT_FALSE(std::isfinite(value));
  }
}

// Where tiles are few, k is split: the same bits each time, and deterministic ones the same whatever rows there are.
TEST_F(VulkanProducts, OfFewTilesAreSummedFromParts) {
  const std::int64_t rows = 3, n = 20, k = 3 * 1024 + 256;
  Random random(9);
  nb::detail::Backend& backend = nb::detail::vulkan_backend(device().index);
  for (const char* name : {"", "nvfp4_global"}) {
    const Tensor w = *name ? weights(random, nb::detail::format_named("test", name), n, k, DType::f16, 0)
                           : matrix(random, n, k, DType::bf16, 0);
    const Tensor x = matrix(random, rows, k, DType::f16, 5);
    for (const MatmulKernel& kernel : kernels()) {
      const bool of_floats = kernel.precision == nb::Precision::exact;
      if (kernel.name.starts_with("across") || kernel.name.starts_with("lanes") || (!*name && !of_floats)) continue;
      SCOPED_TRACE(kernel.name + ' ' + name);
      const auto product = [&](const Tensor& of, bool deterministic) {
        const Tensor y = nb::slice(backend.allocate({of.size(0), n + 1}, DType::f32), 1, 1, n + 1);
        kernel.run({of.to(device()), w.to(device()), y, Orientation::along, kernel.precision, deterministic});
        return y.to(nb::Device::cpu());
      };
      const Tensor y = product(x, false);
      expect_product(x, w, Orientation::along, y, kernel.precision);
      EXPECT_EQ(doubles(product(x, false)), doubles(y));
      if (kernel.name.starts_with("gemv")) continue;  // never deterministic
      EXPECT_EQ(doubles(product(nb::slice(x, 0, 1, 2), true)), doubles(nb::slice(product(x, true), 0, 1, 2)));
    }
  }
}

// What a device says it has, and the compiler of shaders knows, is there to be chosen.
TEST_F(VulkanProducts, ByCooperativeMatricesAreThereWhereTheDeviceHasThem) {
  bool has_them = false, has_kernels = false;
  for (const nb::DeviceInfo& info : nb::devices()) {
    if (info.device != device()) continue;
    for (const std::string& name : info.features) has_them = has_them || name.starts_with("matrices");
  }
  for (const MatmulKernel& kernel : kernels()) {
    const nb::detail::MatmulQuery query{nb::detail::find_format("q6_k"), DType::f32, Orientation::along, 16,
                                        nb::Precision::fast};
    has_kernels = has_kernels || (kernel.name.starts_with("matrices") && kernel.supports(query));
  }
  if (has_them && !has_kernels) GTEST_SKIP() << "skipped: the compiler of shaders knows no cooperative matrices";
  EXPECT_EQ(has_kernels, has_them);
}

TEST_F(VulkanProducts, StayOnTheDevice) {
  const nb::with there(only_there());
  const auto pack = [](const nb::Shape& shape) {
    return nb::quantize(nb::random_normal(shape, 1), {.bits = 4, .group_size = 32});
  };
  const Tensor experts = pack({5, 32, 64}), x = nb::random_normal({9, 1, 2, 64}, 2);
  nb::reset_stats();
  nb::matmul(nb::random_normal({3, 64}, 3), pack({64, 96}));                  // across
  nb::matmul(nb::random_normal({5, 4, 64}, 3), nb::swapaxes(experts, 1, 2));  // batch
  nb::matmul(nb::random_normal({5, 4, 32}, 3), experts);                      // of products across
  nb::gather_matmul(x, nb::swapaxes(experts, 1, 2), nb::zeros({9, 2}, DType::i32));
  EXPECT_EQ(nb::stats().bytes_dequantized, 0u);
  EXPECT_EQ(nb::stats().ops_cpu, 0u);
}

}  // namespace
