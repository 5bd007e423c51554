// Plain operations that the CPU could stand in for: none of them leaves the device, and all give what the CPU gives.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/dispatch/on_vulkan.h"

namespace nb = nibble;
using nb::Device;
using nb::DType;
using nb::Tensor;

namespace {

using VulkanPlainOps = nb::tests::OnVulkan;

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

/// How many floats of the result's own dtype lie between two numbers; of NaNs none.
double ulps(float got, float want) {
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want) ? 0 : 1e9;
  if (std::isinf(got) || std::isinf(want)) return got == want ? 0 : 1e9;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(want == 0 ? 1e-45f : want), -126) - 23);
  return std::abs(static_cast<double>(got) - want) / unit;
}

/// A device may take what is less than the least normal number for 0.
bool keeps_subnormals(nb::Device device) { return (nb::full({1}, 1e-40f).to(device) * 2).to_vector<float>()[0] != 0; }

void expect_close(const Tensor& got, const Tensor& want, double most_ulps, const char* what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  ASSERT_EQ(got.dtype(), want.dtype()) << what;
  const auto numbers = [](const Tensor& t) { return nb::cast(t.to(Device::cpu()), DType::f32).to_vector<float>(); };
  const std::vector<float> g = numbers(got);
  std::vector<float> w = numbers(want);
  const bool flushes = got.dtype() == DType::f32 && !keeps_subnormals(got.device());
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (flushes && g[i] == 0 && std::fpclassify(w[i]) == FP_SUBNORMAL) w[i] = 0;
    ASSERT_LE(ulps(g[i], w[i]), most_ulps) << what << " at " << i << ": " << g[i] << " for " << w[i];
  }
}

/// Runs it on both; on the device under `options`.
void expect_same(const char* what, const nb::Options& options, std::initializer_list<Tensor> operands, double most_ulps,
                 const std::function<Tensor(std::span<const Tensor>)>& run) {
  std::vector<Tensor> here(operands), there;
  for (const Tensor& t : here) there.push_back(t.to(options.device));
  const Tensor want = run(here);
  nb::reset_stats();
  Tensor got;
  {
    const nb::with in_force(options);
    ASSERT_NO_THROW(got = run(there)) << what;
  }
  EXPECT_EQ(nb::stats().ops_cpu, 0u) << what;
  EXPECT_EQ(nb::stats().bytes_moved, 0u) << what;
  expect_close(got, want, most_ulps, what);
}

Tensor odd_numbers(nb::Device device) {
  std::vector<float> x{0,     -0.0f,  1,      -1,   0.5f,  -0.5f, 2, -2,   3,    -3,
                       1e30f, -1e30f, 1e-30f, kInf, -kInf, kNaN,  7, 0.1f, 5.5f, keeps_subnormals(device) ? 1e-40f : 9};
  return nb::from_data(std::span<const float>(x), {static_cast<std::int64_t>(x.size())});
}

TEST_F(VulkanPlainOps, FunctionsOfFloats) {
  const Tensor x = nb::random_normal({4000}, 1, 0, 3);
  expect_same("erf", only_there(), {x}, 3, [](auto t) { return nb::erf(t[0]); });
  expect_same("erf of odd numbers", only_there(), {odd_numbers(device())}, 3, [](auto t) { return nb::erf(t[0]); });
  const Tensor a = nb::expand_dims(odd_numbers(device()), 1), b = odd_numbers(device());
  const Tensor left = nb::random_uniform({3000}, 2, 0, 50), right = nb::random_normal({3000}, 3, 0, 8);
  using Binary = Tensor (*)(const nb::Operand&, const nb::Operand&);
  for (const auto& [name, op, most] : {std::tuple<const char*, Binary, double>{"power", nb::power, 2},
                                       {"remainder", nb::remainder, 0},
                                       {"floor_divide", nb::floor_divide, 0}}) {
    const Binary run = op;
    expect_same(name, only_there(), {a, b}, most, [run](auto t) { return run(t[0], t[1]); });
    expect_same(name, only_there(), {left, right}, most, [run](auto t) { return run(t[0], t[1]); });
    expect_same(name, only_there(), {nb::cast(left, DType::f16), nb::cast(right, DType::f16)}, 8192 * (most > 0),
                [run](auto t) { return run(t[0], t[1]); });
  }
}

TEST_F(VulkanPlainOps, Sorting) {
  for (const std::int64_t n : {1, 2, 5, 1000, 1024, 1025, 5000}) {
    // Few values, so that many are equal and places decide.
    const Tensor x = nb::round(nb::random_normal({3, n}, static_cast<std::uint64_t>(n), 0, 20));
    for (const bool descending : {false, true}) {
      expect_same("sort", only_there(), {x}, 0, [=](auto t) { return nb::sort(t[0], -1, descending); });
      expect_same("argsort", only_there(), {x}, 0, [=](auto t) { return nb::argsort(t[0], -1, descending); });
      expect_same("argsort down", only_there(), {x}, 0, [=](auto t) { return nb::argsort(t[0], 0, descending); });
      expect_same("integers", only_there(), {nb::cast(x, DType::i64) * (std::int64_t{1} << 40)}, 0,
                  [=](auto t) { return nb::argsort(t[0], -1, descending); });
    }
  }
  for (const bool descending : {false, true}) {
    expect_same("odd numbers", only_there(), {odd_numbers(device())}, 0,
                [=](auto t) { return nb::argsort(t[0], -1, descending); });
  }
  const Tensor logits = nb::random_normal({2, 49152}, 4);
  expect_same("topk", only_there(), {logits}, 0, [](auto t) { return nb::topk(t[0], 40).indices; });
  expect_same("topk", only_there(), {logits}, 0, [](auto t) { return nb::topk(t[0], 40).values; });
}

TEST_F(VulkanPlainOps, RandomNumbers) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    expect_same("uniform", only_there(), {}, 0, [=](auto) { return nb::random_uniform({1001}, 7, 0, 1, dtype); });
    expect_same("uniform", only_there(), {}, 0, [=](auto) { return nb::random_uniform({1001}, 8, -3, 0.7, dtype); });
  }
  // Cosines near 0 are as exact as the angle.
  const nb::with in_force(only_there());
  const std::vector<float> got = nb::random_normal({9999}, 9, 1, 2).to_vector<float>();
  const nb::with on_host(nb::Options{});
  const std::vector<float> want = nb::random_normal({9999}, 9, 1, 2).to_vector<float>();
  for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6) << i;
}

TEST_F(VulkanPlainOps, CreationAndIndexing) {
  expect_same("arange", only_there(), {}, 0, [](auto) { return nb::arange(0.5, 4000, 0.1, DType::f32); });
  expect_same("arange", only_there(), {}, 0, [](auto) { return nb::arange(0, 300, 1, DType::f16); });
  const Tensor x = nb::random_normal({4, 6, 9}, 1), at = nb::tensor<std::int32_t>({0, -1, 5, 3, 2, 2}, {1, 6, 1});
  for (const int axis : {0, 1, 2}) {
    const Tensor places = axis == 0 ? nb::remainder(at, 4) : at;
    expect_same("take_along_axis", only_there(), {x, places}, 0,
                [=](auto t) { return nb::take_along_axis(t[0], t[1], axis); });
  }
}

TEST_F(VulkanPlainOps, EveryDtypeBecomesEveryOther) {
  constexpr DType kAll[] = {DType::f32, DType::f16, DType::bf16,    DType::f64,     DType::i8,
                            DType::u8,  DType::i16, DType::u16,     DType::i32,     DType::u32,
                            DType::i64, DType::u64, DType::boolean, DType::f8_e4m3, DType::f8_e5m2};
  const Tensor some =
      nb::concatenate(std::vector<Tensor>{odd_numbers(device()), nb::random_normal({300}, 1, 0, 100),
                                          nb::random_normal({200}, 2, 0, 1e-3), nb::random_normal({200}, 3, 0, 1e15)});
  for (const DType from : kAll) {
    // From doubles, so that what needs more digits than a float has is among them.
    const Tensor precise = nb::cast(some, DType::f64);
    const Tensor x = nb::cast(
        from == DType::i64 || from == DType::u64 ? nb::cast(nb::cast(some * 3.3, DType::f32), DType::f64) : precise,
        from);
    for (const DType to : kAll) {
      if (from == to) continue;
      // Each pair is a pipeline, which the software device takes a while to compile.
      const bool telling = from == DType::f64 || to == DType::f32 || (from == DType::i64 && to == DType::f16);
      if (!telling && std::getenv("NIBBLE_SOAK") == nullptr) continue;
      const nb::with in_force(only_there());
      const Tensor got = nb::cast(x.to(device()), to).to(Device::cpu()), want = nb::cast(x, to);
      std::vector<std::uint8_t> g(got.nbytes()), w(want.nbytes());
      std::memcpy(g.data(), got.raw_data(), g.size());
      std::memcpy(w.data(), want.raw_data(), w.size());
      const std::size_t item = nb::itemsize(to);
      const std::vector<float> values = nb::cast(want, DType::f32).to_vector<float>();
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(values[i])) continue;  // NaNs have many spellings
        ASSERT_EQ(std::memcmp(&g[i * item], &w[i * item], item), 0)
            << nb::name(from) << " to " << nb::name(to) << " at " << i << ": " << values[i];
      }
    }
  }
}

/// MLX's and GGUF's blocks of 32 from Q4_0 to Q8_0; the rest the CPU packs.
bool is_packed_there(const nb::FormatInfo& format) {
  return format.mode == "affine" || (format.block == 32 && format.name[0] == 'q');
}

TEST_F(VulkanPlainOps, PackingGivesTheBytesOfTheCpu) {
  Tensor w = nb::concatenate(std::vector<Tensor>{nb::random_normal({7, 256}, 1), nb::zeros({1, 256}),
                                                 nb::full({1, 256}, -2.5), nb::random_uniform({2, 256}, 2, 5, 6)});
  for (const nb::FormatInfo& format : nb::formats()) {
    if (!is_packed_there(format)) continue;
    for (const DType dtype : {DType::f32, DType::bf16}) {
      // Each is a pipeline again.
      const bool telling =
          format.name[0] == 'q' || (format.group_size == 64 && (dtype == DType::f32 || format.bits == 4));
      if (!telling && std::getenv("NIBBLE_SOAK") == nullptr) continue;
      const Tensor dense = nb::cast(w, dtype);
      const nb::with in_force(only_there());
      const Tensor got = nb::quantize(dense.to(device()), {.format = format.name});
      EXPECT_TRUE(got.is_quantized());
      const nb::PackingView here = nb::packing_of(got.to(Device::cpu())),
                            want = nb::packing_of(nb::quantize(dense, {.format = format.name}));
      for (std::size_t c = 0; c < want.components.size(); ++c) {
        const Tensor& a = here.components[c].second;
        const Tensor& b = want.components[c].second;
        ASSERT_EQ(a.nbytes(), b.nbytes());
        EXPECT_EQ(std::memcmp(a.raw_data(), b.raw_data(), a.nbytes()), 0)
            << format.name << " " << want.components[c].first;
      }
    }
  }
}

TEST_F(VulkanPlainOps, PackedCachesAreWrittenWhereStartsOnTheDeviceSay) {
  const Tensor rows = nb::random_normal({2, 3, 4, 64}, 1), starts = nb::tensor<std::int32_t>({1, 5}, {2});
  const Tensor q = nb::random_normal({2, 6, 4, 64}, 2), lengths = starts + 4;
  for (const char* format : {"q8_0", "affine8-g64"}) {
    const auto attend = [&](std::span<const Tensor> t) {
      Tensor keys =
          nb::quantize(nb::contiguous(nb::zeros({2, 3, 9, 64}) * nb::slice(t[0], 2, 0, 1)), {.format = format});
      keys = nb::update_slice(std::move(keys), t[0], t[1], 2);
      EXPECT_TRUE(keys.is_quantized());
      nb::AttentionOptions options;
      options.causal = true;
      options.key_length = t[3];
      return nb::scaled_dot_product_attention(t[2], keys, keys, options);
    };
    const Tensor want = attend(std::vector<Tensor>{rows, starts, q, lengths});
    const nb::with in_force(only_there());
    const Tensor got =
        attend(std::vector<Tensor>{rows.to(device()), starts.to(device()), q.to(device()), lengths.to(device())});
    const std::vector<float> g = got.to_vector<float>(), w = want.to_vector<float>();
    for (std::size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(g[i], w[i], 1e-5) << format << " at " << i;
  }
  const nb::with in_force(only_there());
  const Tensor cache =
      nb::update_slice(nb::empty({2, 3, 9, 64}, "q8_0"), rows.to(device()), nb::tensor<std::int32_t>({1, 6}, {2}), 2);
  EXPECT_THROW(nb::dequantize(cache).to_vector<float>(), nb::Error);
}

}  // namespace
