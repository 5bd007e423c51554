// Norms, rotary embedding and attention against fp64 written here from the papers' formulas.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "nibble/device.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nb = nibble;
using nb::DType;
using nb::Shape;
using nb::Tensor;

namespace {

std::vector<double> values(const Tensor& t) { return nb::cast(t, DType::f64).to_vector<double>(); }

void expect_near(const Tensor& got, const std::vector<double>& want, double tolerance, const std::string& what) {
  const std::vector<double> g = values(got);
  ASSERT_EQ(g.size(), want.size()) << what;
  for (std::size_t i = 0; i < g.size(); ++i) ASSERT_NEAR(g[i], want[i], tolerance) << what << " at " << i;
}

constexpr DType kFloats[] = {DType::f32, DType::f16, DType::bf16};
double rounding(DType d) { return d == DType::f32 ? 1e-6 : d == DType::f16 ? 2e-3 : 1.6e-2; }

TEST(Norms, MatchFp64) {
  for (DType d : kFloats) {
    const Tensor x = nb::cast(nb::random_normal({3, 5, 96}, 1, 2, 3), d), w = nb::random_normal({96}, 2),
                 b = nb::random_normal({96}, 3);
    const std::vector<double> xs = values(x), ws = values(w), bs = values(b);
    std::vector<double> rms, layer;
    for (std::size_t r = 0; r < 15; ++r) {
      double squares = 0, mean = 0, var = 0;
      for (std::size_t i = 0; i < 96; ++i) {
        squares += xs[r * 96 + i] * xs[r * 96 + i];
        mean += xs[r * 96 + i] / 96;
      }
      for (std::size_t i = 0; i < 96; ++i) var += std::pow(xs[r * 96 + i] - mean, 2) / 96;
      for (std::size_t i = 0; i < 96; ++i) {
        rms.push_back(xs[r * 96 + i] / std::sqrt(squares / 96 + 1e-3) * ws[i]);
        layer.push_back((xs[r * 96 + i] - mean) / std::sqrt(var + 1e-3) * ws[i] + bs[i]);
      }
    }
    const std::string what(name(d));
    EXPECT_EQ(nb::rms_norm(x, w, 1e-3).dtype(), DType::f32);  // promoted with its weight
    expect_near(nb::rms_norm(x, w, 1e-3), rms, 1e-5, what);
    expect_near(nb::layer_norm(x, w, b, 1e-3), layer, 1e-5, what);
    const Tensor turned = nb::transpose(nb::contiguous(nb::transpose(x)));
    expect_near(nb::rms_norm(turned, w, 1e-3), rms, 1e-5, what + " strided");
    expect_near(nb::layer_norm(turned, w, b, 1e-3), layer, 1e-5, what + " strided");
    EXPECT_EQ(nb::rms_norm(x, nb::cast(w, d)).dtype(), d);
  }
  // Without weight and bias; a mean far from zero, where one pass over squares would lose everything.
  const Tensor x = nb::add(nb::random_normal({1, 1024}, 9), 10000);
  EXPECT_NEAR(nb::var(nb::layer_norm(x, {}, {}, 0)).item<float>(), 1.0f, 1e-4f);
}

TEST(Softmax, RowsSumToOneWithinTheDtype) {
  for (DType d : kFloats) {
    const Tensor y = nb::softmax(nb::cast(nb::random_normal({7, 1000}, 4, 0, 4), d));
    for (double s : values(nb::sum(nb::cast(y, DType::f32), {1}))) EXPECT_NEAR(s, 1.0, d == DType::f32 ? 1e-6 : 5e-3);
  }
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor masked = nb::full({2, 3}, -inf);
  for (double v : values(nb::softmax(masked))) EXPECT_EQ(v, 0);
  for (double v : values(nb::log_softmax(masked))) EXPECT_EQ(v, -inf);
}

// ---- rope ----

/// transformers' rotary embedding in fp64, with frequencies from its own formulas.
std::vector<double> rotated(const Tensor& x, const std::vector<double>& positions, const std::vector<double>& inverse,
                            double scale, bool interleaved) {
  const auto B = static_cast<std::size_t>(x.size(0)), H = static_cast<std::size_t>(x.size(1)),
             T = static_cast<std::size_t>(x.size(2)), D = static_cast<std::size_t>(x.size(3)), n = inverse.size();
  std::vector<double> out = values(x);
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t h = 0; h < H; ++h) {
      for (std::size_t t = 0; t < T; ++t) {
        double* row = out.data() + ((b * H + h) * T + t) * D;
        for (std::size_t i = 0; i < n; ++i) {
          const double angle = positions[b * T + t] * inverse[i], c = std::cos(angle) * scale,
                       s = std::sin(angle) * scale;
          double& first = row[interleaved ? 2 * i : i];
          double& second = row[interleaved ? 2 * i + 1 : i + n];
          const double a = first, z = second;
          first = a * c - z * s;
          second = z * c + a * s;
        }
      }
    }
  }
  return out;
}

std::vector<double> plain_inverse(std::int64_t dims, double theta) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < dims; i += 2)
    out.push_back(1 / std::pow(theta, static_cast<double>(i) / static_cast<double>(dims)));
  return out;
}

TEST(Rope, BothConventionsAndEveryKindOfPosition) {
  const auto frequencies = nb::rope_frequencies(12, 10000);
  const auto inverse = plain_inverse(12, 10000);
  for (DType d : kFloats) {
    const Tensor x = nb::cast(nb::random_normal({2, 3, 4, 16}, 5), d);  // the last 4 of 16 pass
    const double tolerance = d == DType::f32 ? 2e-6 : 4 * rounding(d);
    for (bool interleaved : {false, true}) {
      const auto check = [&](const nb::Position& p, const std::vector<double>& at, const std::string& what) {
        const auto want = rotated(x, at, inverse, 1, interleaved);
        expect_near(nb::rope(x, p, frequencies, interleaved), want, tolerance, what);
        const Tensor turned = nb::swapaxes(nb::contiguous(nb::swapaxes(x, 1, 2)), 1, 2);
        expect_near(nb::rope(turned, p, frequencies, interleaved), want, tolerance, what + " strided");
      };
      check(5, {5, 6, 7, 8, 5, 6, 7, 8}, "number");
      check(nb::tensor<std::int32_t>({5}, {}), {5, 6, 7, 8, 5, 6, 7, 8}, "()");
      check(nb::tensor<std::int32_t>({5, 100}, {2}), {5, 6, 7, 8, 100, 101, 102, 103}, "(B,)");
      check(nb::tensor<std::int32_t>({3, 1, 4, 1}, {1, 4}), {3, 1, 4, 1, 3, 1, 4, 1}, "(1, T)");
      check(nb::tensor<std::int32_t>({0, 1, 2, 3, 9, 8, 7, 6}, {2, 4}), {0, 1, 2, 3, 9, 8, 7, 6}, "(B, T)");
    }
  }
  // Far out, where a float's angle would have lost its fraction.
  const Tensor x = nb::random_normal({1, 1, 1, 12}, 6);
  expect_near(nb::rope(x, 100000, frequencies), rotated(x, {100000}, values(frequencies.inverse), 1, false), 2e-6,
              "far");
}

/// transformers' _compute_llama3_parameters.
std::vector<double> llama3(std::int64_t dims, double theta, double factor, double low, double high, double old_length) {
  std::vector<double> out;
  for (const double f : plain_inverse(dims, theta)) {
    const double wavelength = 2 * M_PI / f;
    if (wavelength > old_length / low) {
      out.push_back(f / factor);
    } else if (wavelength < old_length / high) {
      out.push_back(f);
    } else {
      const double smooth = (old_length / wavelength - low) / (high - low);
      out.push_back((1 - smooth) * f / factor + smooth * f);
    }
  }
  return out;
}

/// transformers' _compute_yarn_parameters.
std::vector<double> yarn(std::int64_t dims, double theta, double factor, double fast, double slow, double length,
                         bool truncate) {
  const auto correction = [&](double turns) {
    return (static_cast<double>(dims) * std::log(length / (turns * 2 * M_PI))) / (2 * std::log(theta));
  };
  double low = correction(fast), high = correction(slow);
  if (truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(dims) - 1);
  std::vector<double> out = plain_inverse(dims, theta);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0), extrapolation = 1 - ramp;
    out[i] = out[i] / factor * (1 - extrapolation) + out[i] * extrapolation;
  }
  return out;
}

void expect_relative(const Tensor& got, const std::vector<double>& want) {
  const std::vector<double> g = values(got);
  ASSERT_EQ(g.size(), want.size());
  for (std::size_t i = 0; i < g.size(); ++i) EXPECT_NEAR(g[i] / want[i], 1, 1e-7) << i;
}

TEST(Rope, ScalingsAsTransformers) {
  using Type = nb::RopeScaling::Type;
  nb::RopeScaling s;
  s.type = Type::linear;
  s.factor = 4;
  std::vector<double> divided = plain_inverse(64, 10000);
  for (double& f : divided) f /= 4;
  expect_relative(nb::rope_frequencies(64, 10000, s).inverse, divided);

  s.type = Type::llama3;
  s.factor = 8;
  s.original_max_position_embeddings = 8192;
  expect_relative(nb::rope_frequencies(128, 500000, s).inverse, llama3(128, 500000, 8, 1, 4, 8192));
  EXPECT_EQ(nb::rope_frequencies(128, 500000, s).scale, 1);
  std::vector<double> stretched = plain_inverse(128, 500000);
  const std::vector<double> divisors = nb::rope_divisors(128, 500000, s);
  ASSERT_EQ(divisors.size(), stretched.size());
  for (std::size_t i = 0; i < divisors.size(); ++i) stretched[i] /= divisors[i];
  expect_relative(nb::rope_frequencies(128, 500000, s).inverse, stretched);
  EXPECT_THROW(nb::rope_divisors(127, 500000, s), nb::Error);

  s.type = Type::yarn;
  s.factor = 16;
  s.original_max_position_embeddings = 4096;
  for (bool truncate : {true, false}) {
    s.truncate = truncate;
    expect_relative(nb::rope_frequencies(128, 10000, s).inverse, yarn(128, 10000, 16, 32, 1, 4096, truncate));
  }
  EXPECT_NEAR(nb::rope_frequencies(128, 10000, s).scale, 0.1 * std::log(16.0) + 1, 1e-6);
  s.mscale = 0.707;
  s.mscale_all_dim = 1.2;
  EXPECT_NEAR(nb::rope_frequencies(128, 10000, s).scale, (0.0707 * std::log(16.0) + 1) / (0.12 * std::log(16.0) + 1),
              1e-6);
  s.attention_factor = 1.5;
  const auto f = nb::rope_frequencies(128, 10000, s);
  EXPECT_EQ(f.scale, 1.5f);
  const Tensor x = nb::random_normal({1, 2, 3, 128}, 8);
  expect_near(nb::rope(x, 7, f), rotated(x, {7, 8, 9}, values(f.inverse), 1.5, false), 3e-6, "scaled");
}

// ---- attention ----

struct Seen {
  bool causal = false;
  std::vector<std::int64_t> lengths;                                                       ///< by batch; empty: all
  std::function<double(std::size_t b, std::size_t h, std::size_t i, std::size_t j)> mask;  ///< added; −∞: unseen
};

/// softmax(q kᵀ · scale + mask) v, in fp64, straight from the definition.
std::vector<double> naive(const Tensor& q, const Tensor& k, const Tensor& v, double scale, const Seen& seen) {
  const auto n = [](const Tensor& t, int a) { return static_cast<std::size_t>(t.size(a)); };
  const std::size_t B = n(q, 0), H = n(q, 1), Tq = n(q, 2), D = n(q, 3), Hk = n(k, 1), Tk = n(k, 2), Dv = n(v, 3);
  const std::vector<double> qs = values(q), ks = values(k), vs = values(v);
  std::vector<double> out;
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t h = 0; h < H; ++h) {
      const std::size_t head = b * Hk + h / (H / Hk);
      for (std::size_t i = 0; i < Tq; ++i) {
        const std::int64_t length = seen.lengths.empty() ? static_cast<std::int64_t>(Tk) : seen.lengths[b];
        const std::int64_t limit =
            seen.causal ? length - static_cast<std::int64_t>(Tq) + static_cast<std::int64_t>(i) + 1 : length;
        std::vector<double> weight, mean(Dv, 0.0);
        double total = 0;
        for (std::size_t j = 0; static_cast<std::int64_t>(j) < limit && j < Tk; ++j) {
          double s = 0;
          for (std::size_t d = 0; d < D; ++d) s += qs[((b * H + h) * Tq + i) * D + d] * ks[(head * Tk + j) * D + d];
          weight.push_back(std::exp(s * scale + (seen.mask ? seen.mask(b, h, i, j) : 0)));
          total += weight.back();
        }
        for (std::size_t j = 0; total > 0 && j < weight.size(); ++j) {
          for (std::size_t d = 0; d < Dv; ++d) mean[d] += weight[j] / total * vs[(head * Tk + j) * Dv + d];
        }
        out.insert(out.end(), mean.begin(), mean.end());
      }
    }
  }
  return out;
}

struct Problem {
  std::int64_t B, H, Hk, Tq, Tk, D, Dv;
};

TEST(Attention, MatchesFp64OverShapesAndDtypes) {
  const Problem problems[] = {{1, 1, 1, 1, 1, 4, 4},     {2, 4, 2, 3, 7, 16, 16},    {1, 6, 2, 1, 200, 64, 64},
                              {1, 3, 1, 40, 40, 24, 24}, {2, 2, 2, 33, 130, 20, 12}, {1, 8, 1, 5, 65, 7, 19},
                              {1, 2, 2, 9, 64, 128, 128}};
  for (const Problem& p : problems) {
    for (DType d : kFloats) {
      const Tensor q = nb::random_normal({p.B, p.H, p.Tq, p.D}, 11);
      const Tensor k = nb::cast(nb::random_normal({p.B, p.Hk, p.Tk, p.D}, 12), d);
      const Tensor v = nb::cast(nb::random_normal({p.B, p.Hk, p.Tk, p.Dv}, 13), d);
      for (bool causal : {false, true}) {
        nb::AttentionOptions o;
        o.causal = causal;
        const double scale = 1 / std::sqrt(static_cast<double>(p.D));
        const std::string what = fmt::format("Tq {} Tk {} D {} {} causal {}", p.Tq, p.Tk, p.D, name(d), causal);
        const auto want = naive(q, k, v, scale, {causal, {}, {}});
        expect_near(nb::scaled_dot_product_attention(q, k, v, o), want, 3e-6, what);
        // As a cache lies: heads and places exchanged in memory.
        const auto turn = [](const Tensor& t) { return nb::swapaxes(nb::contiguous(nb::swapaxes(t, 1, 2)), 1, 2); };
        expect_near(nb::scaled_dot_product_attention(turn(q), turn(k), turn(v), o), want, 3e-6, what + " strided");
        const auto deep = [](const Tensor& t) { return nb::swapaxes(nb::contiguous(nb::swapaxes(t, 2, 3)), 2, 3); };
        expect_near(nb::scaled_dot_product_attention(deep(q), deep(k), deep(v), o), want, 3e-6, what + " transposed");
        const Tensor half = nb::scaled_dot_product_attention(nb::cast(q, DType::bf16), k, v, o);
        EXPECT_EQ(half.dtype(), DType::bf16);
      }
    }
  }
}

TEST(Attention, FullCapacityCacheWithLengths) {
  const Tensor q = nb::random_normal({3, 4, 5, 16}, 1), k = nb::random_normal({3, 2, 90, 16}, 2);
  // What lies past the length must not matter, not even NaN.
  const Tensor filled = nb::random_normal({3, 2, 90, 16}, 3);
  const Tensor places = nb::reshape(nb::arange(0, 90), {1, 1, 90, 1});
  const Tensor v = nb::where(nb::less(places, 70), filled, std::numeric_limits<float>::quiet_NaN());
  const Tensor junk = nb::where(nb::less(places, 70), k, std::numeric_limits<float>::quiet_NaN());
  nb::AttentionOptions o;
  o.causal = true;
  o.scale = 0.3;
  o.key_length = nb::tensor<std::int32_t>({70, 5, 3}, {3});  // 3 keys for 5 queries: two see none
  const Tensor got = nb::scaled_dot_product_attention(q, junk, v, o);
  expect_near(got, naive(q, k, filled, 0.3, {true, {70, 5, 3}, {}}), 3e-6, "lengths");
  for (int i : {0, 1}) {
    for (double x : values(nb::select(nb::select(nb::select(got, 0, 2), 1, i), 0, 0))) EXPECT_EQ(x, 0);
  }
  o.key_length = 70;
  expect_near(nb::scaled_dot_product_attention(q, junk, v, o), naive(q, k, filled, 0.3, {true, {70, 70, 70}, {}}), 3e-6,
              "one length");
  o.key_length = 0;
  for (double x : values(nb::scaled_dot_product_attention(q, junk, v, o))) ASSERT_EQ(x, 0);
  o.key_length = 91;
  EXPECT_THROW(nb::scaled_dot_product_attention(q, k, v, o), nb::Error);
  o.key_length = nb::tensor<std::int32_t>({1, 2, 91}, {3});
  EXPECT_THROW(values(nb::scaled_dot_product_attention(q, k, v, o)), nb::Error);  // a device tells at the wait
}

TEST(Attention, Masks) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor q = nb::random_normal({2, 4, 6, 8}, 1), k = nb::random_normal({2, 2, 70, 8}, 2),
               v = nb::random_normal({2, 2, 70, 8}, 3);
  // Boolean by query and key; query 2 sees nothing.
  const Tensor draw = nb::random_uniform({6, 70}, 4);
  const Tensor rows = nb::reshape(nb::arange(0, 6), {6, 1});
  nb::AttentionOptions o;
  o.mask = nb::logical_and(nb::less(draw, 0.6), nb::not_equal(rows, 2));
  const std::vector<double> d = values(draw);
  const auto boolean = [&](std::size_t, std::size_t, std::size_t i, std::size_t j) {
    return i != 2 && d[i * 70 + j] < 0.6f ? 0.0 : -inf;
  };
  const Tensor got = nb::scaled_dot_product_attention(q, k, v, o);
  expect_near(got, naive(q, k, v, 1 / std::sqrt(8.0), {false, {}, boolean}), 3e-6, "boolean");
  for (double x : values(nb::select(got, 2, 2))) EXPECT_EQ(x, 0);
  // Additive by batch, head and key, in bf16.
  for (DType type : kFloats) {
    o.mask = nb::cast(nb::random_normal({2, 4, 1, 70}, 5), type);
    const std::vector<double> m = values(o.mask);
    const auto additive = [&](std::size_t b, std::size_t h, std::size_t, std::size_t j) {
      return m[(b * 4 + h) * 70 + j];
    };
    expect_near(nb::scaled_dot_product_attention(q, k, v, o), naive(q, k, v, 1 / std::sqrt(8.0), {false, {}, additive}),
                3e-6, "additive");
  }
}

TEST(Attention, LargeScoresAndEmptySizes) {
  const Tensor q = nb::random_normal({1, 2, 3, 16}, 1, 0, 60), k = nb::random_normal({1, 2, 100, 16}, 2, 0, 60),
               v = nb::random_normal({1, 2, 100, 16}, 3);
  for (double x : values(nb::scaled_dot_product_attention(q, k, v))) EXPECT_TRUE(std::isfinite(x) && std::fabs(x) < 6);
  EXPECT_EQ(nb::scaled_dot_product_attention(nb::zeros({1, 2, 0, 16}), k, v).numel(), 0);
  const Tensor none = nb::zeros({1, 2, 0, 16});
  for (double x : values(nb::scaled_dot_product_attention(q, none, none))) EXPECT_EQ(x, 0);
}

TEST(Attention, DeterministicGivesOneQueryTheBitsItHasAmongMany) {
  const nb::with deterministic({.deterministic = true});
  const Tensor q = nb::random_normal({1, 4, 90, 40}, 1), k = nb::random_normal({1, 2, 90, 40}, 2),
               v = nb::random_normal({1, 2, 90, 40}, 3);
  nb::AttentionOptions o;
  o.causal = true;
  const Tensor all = nb::scaled_dot_product_attention(q, k, v, o);
  for (int i : {0, 1, 40, 63, 64, 77, 89}) {
    o.key_length = i + 1;
    const Tensor one = nb::scaled_dot_product_attention(nb::slice(q, 2, i, i + 1), k, v, o);
    ASSERT_EQ(one.to_vector<float>(), nb::slice(all, 2, i, i + 1).to_vector<float>()) << i;
  }
}

TEST(Attention, LongCachesHaveTheSameBitsOnAnyNumberOfThreads) {
  struct Case {
    std::int64_t H, Hk, Tq;
  };
  for (const Case& c : {Case{4, 1, 1}, Case{6, 3, 2}, Case{2, 1, 30}, Case{8, 2, 100}}) {
    const Tensor q = nb::random_normal({2, c.H, c.Tq, 32}, 1), k = nb::random_normal({2, c.Hk, 1500, 32}, 2),
                 v = nb::random_normal({2, c.Hk, 1500, 48}, 3);
    nb::AttentionOptions o;
    o.causal = true;
    o.key_length = nb::tensor<std::int32_t>({1500, 777}, {2});
    const auto want = naive(q, k, v, 1 / std::sqrt(32.0), {true, {1500, 777}, {}});
    std::vector<float> first;
    const int before = nb::num_threads();
    for (int threads : {1, 2, 5}) {
      nb::set_num_threads(threads);
      const Tensor got = nb::scaled_dot_product_attention(q, k, v, o);
      expect_near(got, want, 3e-6, fmt::format("{} heads on {}, {} queries", c.H, c.Hk, c.Tq));
      const auto bits = got.to_vector<float>();
      if (first.empty()) first = bits;
      ASSERT_EQ(bits, first) << threads << " threads";
    }
    nb::set_num_threads(before);
  }
}

/// Of caches in bf16, which fast takes in pairs, and in bytes.
TEST(Attention, NarrowCachesHaveTheSameBitsOnAnyNumberOfThreads) {
  const int before = nb::num_threads();
  for (const nb::Precision precision : {nb::Precision::exact, nb::Precision::fast}) {
    const nb::with options({.precision = precision});
    for (const bool packed : {false, true}) {
      const auto cache = [&](unsigned seed) {
        const Tensor t = nb::random_normal({2, 2, 1500, 64}, seed);
        return packed ? nb::quantize(t, {.format = "q8_0"}) : nb::cast(t, DType::bf16);
      };
      const Tensor k = cache(2), v = cache(3);
      for (const std::int64_t queries : {1, 2, 100}) {
        const Tensor q = nb::random_normal({2, 6, queries, 64}, 1);
        std::vector<float> first;
        for (const int threads : {1, 2, 5}) {
          nb::set_num_threads(threads);
          const auto bits = nb::scaled_dot_product_attention(q, k, v).to_vector<float>();
          if (first.empty()) first = bits;
          ASSERT_EQ(bits, first) << threads << " threads, " << queries << " queries, packed " << packed;
        }
      }
    }
  }
  nb::set_num_threads(before);
}

TEST(Attention, FastStaysWithinItsPrecision) {
  const nb::with fast({.precision = nb::Precision::fast});
  for (const std::int64_t depth : {64, 37}) {
    for (DType d : kFloats) {
      const Tensor q = nb::random_normal({1, 4, 70, depth}, 1),
                   k = nb::cast(nb::random_normal({1, 2, 131, depth}, 2), d),
                   v = nb::cast(nb::random_normal({1, 2, 131, depth}, 3), d);
      nb::AttentionOptions o;
      o.causal = true;
      const auto want = naive(q, k, v, 1 / std::sqrt(static_cast<double>(depth)), {true, {}, {}});
      const auto got = values(nb::scaled_dot_product_attention(q, k, v, o));
      double error = 0, norm = 0;
      for (std::size_t i = 0; i < want.size(); ++i) {
        error += std::pow(got[i] - want[i], 2);
        norm += std::pow(want[i], 2);
      }
      EXPECT_LT(std::sqrt(error / norm), 1e-2) << name(d) << " depth " << depth;
    }
  }
}

TEST(Attention, PackedCachesAreReadAsTheyLie) {
  const nb::with on_host({});  // devices have no kernel for them yet
  struct Case {
    const char* format;
    std::int64_t Tq, D, Dv;
  };
  for (const Case& c : {Case{"q8_0", 1, 64, 96}, Case{"q8_0", 40, 64, 96}, Case{"q8_0", 3, 32, 32},
                        Case{"affine8-g64", 2, 128, 64}, Case{"q4_0", 30, 32, 64}}) {
    const Tensor q = nb::random_normal({2, 4, c.Tq, c.D}, 1);
    const Tensor k = nb::quantize(nb::random_normal({2, 2, 300, c.D}, 2), {.format = c.format}),
                 v = nb::quantize(nb::random_normal({2, 2, 300, c.Dv}, 3), {.format = c.format});
    nb::AttentionOptions o;
    o.causal = true;
    o.key_length = nb::tensor<std::int32_t>({300, 131}, {2});
    const std::string what = fmt::format("{} {} queries", c.format, c.Tq);
    const nb::with strict({.fallback = nb::Fallback::error});
    const auto want =
        naive(q, nb::dequantize(k), nb::dequantize(v), 1 / std::sqrt(static_cast<double>(c.D)), {true, {300, 131}, {}});
    expect_near(nb::scaled_dot_product_attention(q, k, v, o), want, 3e-6, what);
    o.key_length = 131;
    const Tensor got =
        nb::scaled_dot_product_attention(nb::slice(q, 0, 1, 2), nb::slice(k, 0, 1, 2), nb::slice(v, 0, 1, 2), o);
    const std::vector<double> tail(want.begin() + static_cast<std::ptrdiff_t>(want.size() / 2), want.end());
    expect_near(got, tail, 3e-6, what + " of the second entry");
  }
  // Along another axis it is decoded first, and that is counted.
  const Tensor q = nb::random_normal({1, 2, 3, 32}, 1), v = nb::random_normal({1, 1, 64, 32}, 2);
  const Tensor k = nb::swapaxes(nb::quantize(nb::random_normal({1, 1, 32, 64}, 3), {.format = "q8_0"}), 2, 3);
  const auto want = naive(q, nb::dequantize(k), v, 1 / std::sqrt(32.0), {});
  nb::reset_stats();
  expect_near(nb::scaled_dot_product_attention(q, k, v), want, 3e-6, "packed along the keys");
  EXPECT_GT(nb::stats().bytes_dequantized, 0u);
}

TEST(Attention, OneRowEqualsItsPlaceInABatch) {
  const Tensor q = nb::random_normal({4, 6, 9, 32}, 1), k = nb::random_normal({4, 3, 77, 32}, 2),
               v = nb::random_normal({4, 3, 77, 32}, 3);
  const auto all = values(nb::scaled_dot_product_attention(q, k, v));
  const auto one =
      values(nb::scaled_dot_product_attention(nb::slice(q, 0, 2, 3), nb::slice(k, 0, 2, 3), nb::slice(v, 0, 2, 3)));
  for (std::size_t i = 0; i < one.size(); ++i) ASSERT_EQ(one[i], all[2 * one.size() + i]);
}

}  // namespace
