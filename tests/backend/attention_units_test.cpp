// What each instruction set contributes to attention, against fp64: natively, and through SIMDe where the processor may
// lack it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/units/attention.h"
#include "backend/cpu/units/select.h"
#include "nibble/device.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble::inline v0::detail::cpu {
extern const AttentionUnit kAvx2AttentionSimde;
extern const AttentionUnit kAvx512AttentionSimde;
extern const PanelKernel kAvx512Bf16PanelSimde;
}  // namespace nibble::inline v0::detail::cpu

namespace nibble::detail::cpu {
namespace {

struct UnitUnderTest {
  std::string name;
  const AttentionUnit* unit;
};

std::vector<UnitUnderTest> units() {
  std::vector<UnitUnderTest> found;
  for (const Unit* unit : available_units()) found.push_back({unit->name, unit->attention});
#ifdef NIBBLE_TEST_SIMDE_AVX2
  found.push_back({"avx2_simde", &kAvx2AttentionSimde});
#endif
#ifdef NIBBLE_TEST_SIMDE_AVX512
  found.push_back({"avx512_simde", &kAvx512AttentionSimde});
#endif
  return found;
}

struct PanelUnderTest {
  std::string name;
  const PanelKernel* kernel;
  int panel;
  double tolerance;
};

std::vector<PanelUnderTest> panels() {
  constexpr double kExact = 1e-5, kFast = 5e-2;
  std::vector<PanelUnderTest> found;
  for (const UnitUnderTest& u : units()) found.push_back({u.name, &u.unit->exact, u.unit->panel, kExact});
  for (const Unit* unit : available_units()) {
    const Bf16Unit* bf16 = bf16_of(*unit);
    if (bf16 == nullptr || bf16->attention == nullptr) continue;
    found.push_back({std::string(unit->name) + " fast", bf16->attention, unit->attention->panel, kFast});
  }
#ifdef NIBBLE_TEST_SIMDE_AVX512
  found.push_back({"avx512_bf16_simde", &kAvx512Bf16PanelSimde, kAvx512AttentionSimde.panel, kFast});
#endif
  return found;
}

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::vector<float> draw(std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(at(n));
  for (float& x : out) x = normal(engine);
  return out;
}

/// Some rows of queries, what they see, and keys and values as the tests of both kinds of kernel make them.
struct Problem {
  std::int64_t rows, keys, depth, width;
  std::vector<float> q, k, v, bias;  ///< bias by (row, key)
  std::vector<std::int64_t> visible;

  Problem(std::int64_t rows_, std::int64_t keys_, std::int64_t depth_, std::int64_t width_)
      : rows(rows_),
        keys(keys_),
        depth(depth_),
        width(width_),
        q(draw(rows * depth, 1)),
        k(draw(keys * depth, 2)),
        v(draw(keys * width, 3)),
        bias(draw(rows * keys, 4)) {
    for (float& x : q) x /= std::sqrt(static_cast<float>(depth));
    for (std::int64_t r = 0; r < rows; ++r) visible.push_back((r * 7 + 5) % (keys + 1));
  }

  /// softmax(q kᵀ + bias) v over the visible keys.
  std::vector<double> answer(std::int64_t r) const {
    std::vector<double> out(at(width), 0.0);
    double total = 0;
    for (std::int64_t j = 0; j < visible[at(r)]; ++j) {
      double s = bias[at(r * keys + j)];
      for (std::int64_t d = 0; d < depth; ++d) s += static_cast<double>(q[at(r * depth + d)]) * k[at(j * depth + d)];
      total += std::exp(s);
      for (std::int64_t c = 0; c < width; ++c) out[at(c)] += std::exp(s) * v[at(j * width + c)];
    }
    for (double& x : out) x = total == 0 ? 0 : x / total;
    return out;
  }
};

/// Rows of numbers as a cache element lays them out, `gap` bytes between rows, and what they decode to.
struct Laid {
  std::vector<unsigned char> bytes;
  std::int64_t stride;

  Laid(std::vector<float>& x, std::int64_t rows, CacheElement element) {
    const std::int64_t n = static_cast<std::int64_t>(x.size()) / rows;
    Tensor t = from_data(std::span<const float>(x), {rows, n});
    if (element == CacheElement::q8_0) {
      t = quantize(t, {.format = "q8_0"});
      x = dequantize(t).to_vector<float>();
      t = packing_of(t).components[0].second;
    } else {
      t = cast(t, element == CacheElement::f16 ? DType::f16 : element == CacheElement::bf16 ? DType::bf16 : DType::f32);
      x = cast(t, DType::f32).to_vector<float>();
    }
    constexpr std::int64_t kGap = 68;
    const std::int64_t line = static_cast<std::int64_t>(t.nbytes()) / rows;
    stride = line + kGap;
    bytes.assign(at(rows * stride - kGap), 0xff);  // nothing past the last row: a sanitizer sees who reads on
    const auto* from = static_cast<const unsigned char*>(contiguous(t).raw_data());
    for (std::int64_t r = 0; r < rows; ++r) std::copy_n(from + r * line, line, bytes.data() + r * stride);
  }
};

TEST(AttentionUnits, FewQueriesMatchFp64) {
  struct Case {
    std::int64_t rows, keys, depth, width;
  };
  const Case cases[] = {{1, 1, 64, 32}, {3, 33, 32, 96}, {4, 200, 128, 64}, {7, 66, 64, 128}, {11, 35, 32, 32}};
  for (const UnitUnderTest& u : units()) {
    for (const Case& c : cases) {
      for (int element = 0; element < static_cast<int>(CacheElement::count_); ++element) {
        Problem p(c.rows, c.keys, c.depth, c.width);
        const Laid k(p.k, c.keys, static_cast<CacheElement>(element)),
            v(p.v, c.keys, static_cast<CacheElement>(element));
        FewQueries few{};
        few.rows = c.rows;
        few.keys = c.keys;
        few.depth = c.depth;
        few.width = c.width;
        few.pitch = (c.keys + kFewPadding - 1) / kFewPadding * kFewPadding;
        few.q = p.q.data();
        few.k = {k.bytes.data(), k.stride};
        few.v = {v.bytes.data(), v.stride};
        few.visible = p.visible.data();
        std::vector<float> bias(at(c.rows * few.pitch), NAN), weights(bias.size()), out(at(c.rows * c.width)),
            largest(at(c.rows)), total(at(c.rows));
        for (std::int64_t r = 0; r < c.rows; ++r) {
          std::copy_n(p.bias.data() + r * c.keys, c.keys, bias.data() + r * few.pitch);
        }
        few.bias = bias.data();
        few.weights = weights.data();
        few.out = out.data();
        few.largest = largest.data();
        few.total = total.data();
        u.unit->few[element](few);
        for (std::int64_t r = 0; r < c.rows; ++r) {
          const std::vector<double> want = p.answer(r);
          const double scale = total[at(r)] == 0 ? 0 : 1.0 / total[at(r)];
          for (std::int64_t i = 0; i < c.width; ++i) {
            ASSERT_NEAR(out[at(r * c.width + i)] * scale, want[at(i)], 1e-5)
                << u.name << " element " << element << " keys " << c.keys << " row " << r << " column " << i;
          }
        }
      }
    }
  }
}

/// Tiles one after another, so that what is carried from one to the next is tested too.
void check_panel(const PanelUnderTest& u, const std::vector<std::int64_t>& tiles, std::int64_t depth,
                 std::int64_t width) {
  std::int64_t keys = 0;
  for (const std::int64_t n : tiles) keys += n;
  const Problem p(u.panel, keys, depth, width);
  const std::int64_t step = u.kernel->step, depth_words = (depth + step - 1) / step;
  const auto words_of = [&](const float* row, std::int64_t n) {
    std::vector<float> words(row, row + n);
    if (step == 2) u.kernel->pair_neighbours(row, n, words.data());
    return words;
  };
  std::vector<float> q(at(depth_words * u.panel)), k(at(keys * depth_words));
  for (std::int64_t r = 0; r < u.panel; ++r) {
    const auto words = words_of(p.q.data() + r * depth, depth);
    for (std::int64_t d = 0; d < depth_words; ++d) q[at(d * u.panel + r)] = words[at(d)];
  }
  for (std::int64_t j = 0; j < keys; ++j) {
    const auto words = words_of(p.k.data() + j * depth, depth);
    std::copy_n(words.data(), depth_words, k.data() + j * depth_words);
  }
  std::vector<float> out(at(width * u.panel), 0.0f), largest(at(u.panel), -INFINITY), total(at(u.panel), 0.0f),
      weights(at(kTileKeys * u.panel)), visible(at(u.panel)), bias(at(kTileKeys * u.panel));
  std::int64_t first = 0;
  for (const std::int64_t n : tiles) {
    std::vector<float> v(p.v.begin() + first * width, p.v.begin() + (first + n) * width);
    if (step == 2) {
      v.resize(at((n + 1) / 2 * 2 * width), 0.0f);
      std::vector<float> words(at((n + 1) / 2 * width));
      for (std::int64_t j = 0; j < n; j += 2) {
        u.kernel->pair_rows(v.data() + j * width, v.data() + (j + 1) * width, width, words.data() + j / 2 * width);
      }
      v = words;
    }
    for (std::int64_t r = 0; r < u.panel; ++r) {
      visible[at(r)] = static_cast<float>(p.visible[at(r)] - first);
      for (std::int64_t j = 0; j < n; ++j) bias[at(j * u.panel + r)] = p.bias[at(r * keys + first + j)];
    }
    PanelTile tile{};
    tile.keys = n;
    tile.depth = depth_words;
    tile.width = width;
    tile.q = q.data();
    tile.k = k.data() + first * depth_words;
    tile.k_stride = depth_words;
    tile.v = v.data();
    tile.v_stride = width;
    tile.visible = visible.data();
    tile.bias = bias.data();
    tile.weights = weights.data();
    tile.out = out.data();
    tile.largest = largest.data();
    tile.total = total.data();
    u.kernel->attend(tile);
    first += n;
  }
  for (std::int64_t r = 0; r < u.panel; ++r) {
    const std::vector<double> want = p.answer(r);
    const double scale = total[at(r)] == 0 ? 0 : 1.0 / total[at(r)];
    for (std::int64_t c = 0; c < width; ++c) {
      ASSERT_NEAR(out[at(c * u.panel + r)] * scale, want[at(c)], u.tolerance)
          << u.name << " depth " << depth << " row " << r << " column " << c;
    }
  }
}

TEST(AttentionUnits, PanelsMatchFp64) {
  for (const PanelUnderTest& u : panels()) {
    check_panel(u, {kTileKeys, 33}, 64, 64);
    check_panel(u, {1, kTileKeys}, 40, 24);
    check_panel(u, {kTileKeys, 1}, 7, 5);
    check_panel(u, {17, 50, 3}, 37, 67);
  }
}

/// exp must be 0 for what is unseen, and a NaN must not be lost.
TEST(AttentionUnits, InfinitiesAndNaNs) {
  for (const PanelUnderTest& u : panels()) {
    const std::int64_t panel = u.panel;
    std::vector<float> q(at(panel), 0.0f), k(2, 0.0f), v(2, 0.0f), out(at(panel), 0.0f), largest(at(panel), -INFINITY),
        total(at(panel), 0.0f), weights(at(kTileKeys * panel)), bias(at(2 * panel), 0.0f);
    bias[0] = -INFINITY;                                   // query 0 sees key 1 alone
    bias[1] = -INFINITY, bias[at(panel + 1)] = -INFINITY;  // query 1 none
    bias[2] = NAN;                                         // query 2 is lost
    bias[3] = -200, bias[at(panel + 3)] = -3e38f;          // query 3 all but key 0, by finite numbers
    PanelTile tile{};
    tile.keys = 2;
    tile.depth = tile.width = 1;
    tile.q = q.data();
    tile.k = k.data();
    tile.k_stride = tile.v_stride = 1;
    tile.v = v.data();
    tile.bias = bias.data();
    tile.weights = weights.data();
    tile.out = out.data();
    tile.largest = largest.data();
    tile.total = total.data();
    u.kernel->attend(tile);
    EXPECT_EQ(total[0], 1) << u.name;
    EXPECT_EQ(total[1], 0) << u.name;
    EXPECT_TRUE(std::isnan(total[2])) << u.name;
    EXPECT_EQ(total[3], 1) << u.name;
    EXPECT_EQ(largest[3], -200) << u.name;
  }
}

}  // namespace
}  // namespace nibble::detail::cpu
