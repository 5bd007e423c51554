#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

// Searches for the scale of a group of weights that leaves the smallest sum of squared errors.

namespace nibble {
inline namespace v0 {
namespace detail {

/// To nearest, within [low, high]; low where it is no number.
inline float nearest(float value, float low, float high) {
  constexpr float kRound = 0x1.8p23f;  // adding and subtracting it rounds without a call
  return (std::min(std::max(low, value), high) + kRound) - kRound;
}

/// value ≈ scale · code − minimum, neither negative.
struct FitWithMinimum {
  float scale = 0, minimum = 0;
};

/// Codes of [0, top]: grids a little finer and coarser than the range, each with the line that fits its codes best.
inline FitWithMinimum fit_with_minimum(const float* x, int count, int top) {
  constexpr int kSteps = 20;
  float low = 0, high = x[0];
  for (int i = 0; i < count; ++i) low = std::min(low, x[i]), high = std::max(high, x[i]);
  FitWithMinimum best{(high - low) / static_cast<float>(top), -low};
  if (!(high > low)) return {0, -low};
  float least = INFINITY;
  for (int step = 0; step <= kSteps; ++step) {
    const float inverse = (static_cast<float>(top - 1) + 0.1f * static_cast<float>(step)) / (high - low);
    double n = count, q = 0, qq = 0, xs = 0, xq = 0, xx = 0;
    for (int i = 0; i < count; ++i) {
      const double code = nearest((x[i] - low) * inverse, 0, static_cast<float>(top)), w = x[i];
      q += code, qq += code * code, xs += w, xq += w * code, xx += w * w;
    }
    const double determinant = n * qq - q * q;
    if (!(determinant > 0)) continue;
    double a = (n * xq - xs * q) / determinant, b = (qq * xs - q * xq) / determinant;
    if (b > 0) b = 0, a = xq / qq;
    const double error = xx - 2 * (a * xq + b * xs) + a * a * qq + 2 * a * b * q + n * b * b;
    if (a <= 0 || error >= static_cast<double>(least)) continue;
    least = static_cast<float>(error);
    best = {static_cast<float>(a), static_cast<float>(-b)};
  }
  return best;
}

/// value ≈ scale · code, codes of [−zero, zero − 1]: the weight of largest magnitude goes to −zero, or nearly.
inline float fit_around_zero(const float* x, int count, int zero) {
  constexpr int kSteps = 9;
  const float* largest = std::max_element(x, x + count, [](float a, float b) { return std::abs(a) < std::abs(b); });
  if (*largest == 0) return 0;
  const auto bottom = static_cast<float>(-zero), top = static_cast<float>(zero - 1);
  float best = *largest / bottom;
  double most = 0;
  for (int step = -kSteps; step <= kSteps; ++step) {
    const float inverse = (bottom - 0.1f * static_cast<float>(step)) / *largest;
    double xq = 0, qq = 0;
    for (int i = 0; i < count; ++i) {
      const double code = nearest(x[i] * inverse, bottom, top);
      xq += x[i] * code, qq += code * code;
    }
    // The error is Σx² − (Σxq)² / Σq².
    if (qq > 0 && xq * xq > most * qq) most = xq * xq / qq, best = static_cast<float>(xq / qq);
  }
  return best;
}

/// The place of the number nearest to `value` in an ascending table.
inline std::uint8_t nearest_of(const std::int8_t (&table)[16], float value) {
  int place = 0;
  for (int step = 8; step > 0; step /= 2) {
    const int above = place + step;
    place = 2 * value > static_cast<float>(table[above - 1] + table[above]) ? above : place;
  }
  return static_cast<std::uint8_t>(place);
}

/// value ≈ scale · a number of an ascending table: the weight of largest magnitude goes to either end, or nearly.
inline float fit_to_table(const float* x, int count, const std::int8_t (&table)[16]) {
  constexpr int kFarthest = 8;
  const float* largest = std::max_element(x, x + count, [](float a, float b) { return std::abs(a) < std::abs(b); });
  if (*largest == 0) return 0;
  float best = 0;
  double most = 0;
  for (const int end : {0, 15}) {
    for (int step = -kFarthest; step <= kFarthest; step += 2) {
      const float inverse = (static_cast<float>(table[end]) + static_cast<float>(step)) / *largest;
      double xq = 0, qq = 0;
      for (int i = 0; i < count; ++i) {
        const double number = table[nearest_of(table, x[i] * inverse)];
        xq += x[i] * number, qq += number * number;
      }
      if (qq > 0 && xq * xq > most * qq) most = xq * xq / qq, best = static_cast<float>(xq / qq);
    }
  }
  return best;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
