#include <cmath>
#include <numbers>

#include "backend/common/philox.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/element.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// 24 bits of a word as a float in [0, 1).
float unit(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// Four numbers of the distribution's standard form from one block of the stream.
std::array<float, 4> draw(Distribution distribution, const std::array<std::uint32_t, 4>& words) {
  if (distribution == Distribution::uniform) return {unit(words[0]), unit(words[1]), unit(words[2]), unit(words[3])};
  std::array<float, 4> out;
  for (std::size_t pair = 0; pair < 2; ++pair) {  // Box and Muller (1958)
    const double radius = std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(unit(words[2 * pair]))));
    const double angle = 2.0 * std::numbers::pi * static_cast<double>(unit(words[2 * pair + 1]));
    out[2 * pair] = static_cast<float>(radius * std::cos(angle));
    out[2 * pair + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return out;
}

/// a + (b − a)·u below b even where the sum rounds up to it; or a + b·z.
template <class T>
T place(Distribution distribution, float number, double a, double b) {
  if (distribution == Distribution::normal) return narrow<T>(static_cast<float>(a + b * static_cast<double>(number)));
  const T value = narrow<T>(static_cast<float>(a + (b - a) * static_cast<double>(number)));
  return static_cast<double>(widen(value)) < b || a >= b ? value : narrow<T>(static_cast<float>(a));
}

}  // namespace

void CpuBackend::random(const Tensor& out, Distribution distribution, std::uint64_t seed, double a, double b) {
  const std::int64_t n = out.numel();
  visit_dtype(FloatElements{}, out.dtype(), [&]<class T>(T) {
    T* data = mutable_data<T>(out);
    parallel_ranges(n, kParallelGrain / 8, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i += 4) {
        const auto numbers = draw(distribution, philox_block(seed, static_cast<std::uint64_t>(i / 4)));
        for (std::int64_t j = i; j < std::min(i + 4, end); ++j) {
          data[j] = place<T>(distribution, numbers[static_cast<std::size_t>(j - i)], a, b);
        }
      }
    });
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
