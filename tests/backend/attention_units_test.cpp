// The tile of every instruction-set unit that this machine runs, against fp64: two tiles in a row, so that what is
// carried from one to the next is tested too.

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "backend/cpu/units/attention.h"
#include "nibble/device.h"
#include "nibble/error.h"

namespace nibble::detail {
namespace {

struct Tile {
  std::int64_t rows, depth, width;
  std::vector<std::int64_t> keys;  ///< of each tile in turn
};

std::vector<float> draw(std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& x : out) x = normal(engine);
  return out;
}

void check(AttendFunction attend, const Tile& t, const char* unit) {
  const std::int64_t total_keys = t.keys[0] + t.keys[1], pitch = t.depth + 3;
  const auto q = draw(t.rows * t.depth, 1), k = draw(total_keys * pitch, 2), v = draw(total_keys * t.width, 3),
             bias = draw(2 * t.rows * kTileKeys, 4);
  std::vector<float> turned(static_cast<std::size_t>(t.depth * kTileKeys)),
      scores(static_cast<std::size_t>(t.rows * kTileKeys)), out(static_cast<std::size_t>(t.rows * t.width), 0.0f),
      largest(static_cast<std::size_t>(t.rows), -INFINITY);
  std::vector<double> total(static_cast<std::size_t>(t.rows), 0.0);
  std::vector<std::int64_t> visible[2];
  for (int tile = 0; tile < 2; ++tile) {
    for (std::int64_t r = 0; r < t.rows; ++r) visible[tile].push_back((r * 7 + 5 * tile) % (t.keys[tile] + 1));
  }
  for (int tile = 0; tile < 2; ++tile) {
    const std::int64_t first = tile * t.keys[0];
    attend({t.rows, t.keys[static_cast<std::size_t>(tile)], t.depth, t.width, q.data(), k.data() + first * pitch, pitch,
            v.data() + first * t.width, t.width, visible[tile].data(), bias.data() + tile * t.rows * kTileKeys,
            turned.data(), scores.data(), out.data(), largest.data(), total.data()});
  }
  for (std::int64_t r = 0; r < t.rows; ++r) {
    std::vector<double> want(static_cast<std::size_t>(t.width), 0.0);
    double sum = 0;
    for (int tile = 0; tile < 2; ++tile) {
      for (std::int64_t j = 0; j < visible[tile][static_cast<std::size_t>(r)]; ++j) {
        const std::int64_t key = tile * t.keys[0] + j;
        double s = bias[static_cast<std::size_t>((tile * t.rows + r) * kTileKeys + j)];
        for (std::int64_t d = 0; d < t.depth; ++d) {
          s += static_cast<double>(q[static_cast<std::size_t>(r * t.depth + d)]) *
               k[static_cast<std::size_t>(key * pitch + d)];
        }
        sum += std::exp(s);
        for (std::int64_t c = 0; c < t.width; ++c) {
          want[static_cast<std::size_t>(c)] += std::exp(s) * v[static_cast<std::size_t>(key * t.width + c)];
        }
      }
    }
    const double scale = total[static_cast<std::size_t>(r)];
    for (std::int64_t c = 0; c < t.width; ++c) {
      const double got = scale == 0 ? 0 : out[static_cast<std::size_t>(r * t.width + c)] / scale;
      ASSERT_NEAR(got, sum == 0 ? 0 : want[static_cast<std::size_t>(c)] / sum, 1e-5)
          << unit << " rows " << t.rows << " depth " << t.depth << " row " << r << " column " << c;
    }
  }
}

TEST(AttentionUnits, EachMatchesFp64) {
  const Tile tiles[] = {{1, 64, 64, {64, 33}}, {3, 40, 24, {64, 64}},  {7, 7, 5, {64, 1}},
                        {8, 16, 16, {64, 17}}, {31, 64, 64, {64, 50}}, {kTileRows, 37, 67, {64, 64}}};
  for (const std::string& unit : cpu_units()) {
    for (const Tile& t : tiles) check(attend_function(unit.c_str()), t, unit.c_str());
  }
  EXPECT_THROW(attend_function("none"), Error);
}

}  // namespace
}  // namespace nibble::detail
