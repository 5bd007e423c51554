#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_math.h"
#include "backend/cpu/strided.h"
#include "quant_tensor/tensor/values.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// Cosines and sines of one position, times the frequencies' factor. Angles grow to thousands of turns, of which a
/// float keeps too few places: product and reduction to one turn are in double.
class Turn {
 public:
  std::vector<float> cosines, sines;

  /// Kept where they are those of the call before: keys turn as queries do, and a layer as the one below.
  void set(std::int32_t position, std::span<const float> inverse, float scale) {
    const bool same = position == position_ && scale == scale_ && std::ranges::equal(inverse, inverse_);
    if (same) return;
    position_ = position;
    scale_ = scale;
    inverse_.assign(inverse.begin(), inverse.end());
    cosines.resize(inverse.size());
    sines.resize(inverse.size());
    constexpr double kTurn = 2 * std::numbers::pi;
    for (std::size_t i = 0; i < cosines.size(); ++i) {
      const double angle = static_cast<double>(position) * static_cast<double>(inverse[i]);
      const auto within = static_cast<float>(angle - kTurn * std::nearbyint(angle / kTurn));
      cosines[i] = scale * std::cos(within);
      sines[i] = scale * std::sin(within);
    }
  }

 private:
  std::int32_t position_ = 0;
  float scale_ = 0;
  std::vector<float> inverse_;
};

/// Rotates the pairs of one row of `length` elements, of which pair i is (first[i·step], first[i·step + apart]).
template <class T>
void rotate(const T* x, std::int64_t stride, std::int64_t length, const Turn& turn, bool interleaved, T* out) {
  const auto pairs = static_cast<std::int64_t>(turn.cosines.size());
  const float* c = turn.cosines.data();
  const float* s = turn.sines.data();
  const std::int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : pairs;
  const auto turn_pairs = [&](std::int64_t in_stride, std::int64_t pair_step) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const std::int64_t p = i * pair_step;
      const float a = widen(x[p * in_stride]), b = widen(x[(p + apart) * in_stride]);
      out[p] = narrow<T>(a * c[i] - b * s[i]);
      out[p + apart] = narrow<T>(b * c[i] + a * s[i]);
    }
  };
  if (stride == 1 && !interleaved) {
    turn_pairs(1, 1);
  } else {
    turn_pairs(stride, step);
  }
  for (std::int64_t i = 2 * pairs; i < length; ++i) out[i] = x[i * stride];
}

}  // namespace

void CpuBackend::rope(const Tensor& x, const Tensor& positions, const RopeFrequencies& frequencies, bool interleaved,
                      const Tensor& out) {
  const Rows from(x), to(out);
  const std::int64_t batches = x.shape()[0], steps = x.shape()[x.ndim() - 2];
  const std::int64_t heads = batches * steps == 0 ? 0 : from.count / (batches * steps);
  const auto at = values_of<std::int32_t>(positions);
  const auto inverse = values_of<float>(frequencies.inverse);
  visit_dtype(FloatElements{}, x.dtype(), [&]<class T>(T) {
    // One place of the sequence after the other, all its heads at once: they share the cosines.
    parallel_rows(batches * steps, heads * from.length * 2, [&](std::int64_t place) {
      thread_local Turn turn;
      turn.set(at[static_cast<std::size_t>(place)], inverse, frequencies.scale);
      const std::int64_t b = place / steps, t = place % steps;
      for (std::int64_t h = 0; h < heads; ++h) {
        const std::int64_t r = (b * heads + h) * steps + t;
        rotate(from.row<T>(r), from.stride, from.length, turn, interleaved, to.row<T>(r));
      }
    });
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
