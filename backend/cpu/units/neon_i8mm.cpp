// Integer products by instructions that multiply matrices of bytes, of processors that have I8MM beside what the unit
// neon needs: two rows of codes by two of activations, eight weights of each.
#include <arm_neon.h>

#include "backend/cpu/units/neon_features.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

#include "backend/cpu/units/neon_floats.inl.h"
#include "backend/cpu/units/neon_integers.inl.h"

/// Eight weights of four rows of x, two rows in a vector.
struct Pairs {
  int8x16_t first, second;
};
/// From two vectors of four weights of four rows.
inline Pairs pairs_of(const unsigned char* a, const unsigned char* b) {
  const int32x4_t low = vreinterpretq_s32_u8(vld1q_u8(a)), high = vreinterpretq_s32_u8(vld1q_u8(b));
  return {vreinterpretq_s8_s32(vzip1q_s32(low, high)), vreinterpretq_s8_s32(vzip2q_s32(low, high))};
}

/// Of two rows of w with four of x: (w, x) = 00 01 10 11 and 02 03 12 13.
struct Square {
  int32x4_t first, second;
};
inline void multiply_add(Square& sums, uint8x16_t w, const Pairs& x) {
  sums.first = vusmmlaq_s32(sums.first, w, x.first);
  sums.second = vusmmlaq_s32(sums.second, w, x.second);
}
/// The same four sums, a row of x a lane, for either row of w.
inline Square both_rows(const float* sums) {
  const int32x4_t four = load_ints(sums);
  return {vcombine_s32(vget_low_s32(four), vget_low_s32(four)), vcombine_s32(vget_high_s32(four), vget_high_s32(four))};
}
/// Those of the first or the second row of w, a row of x a lane.
inline int32x4_t row_of(const Square& sums, int row) {
  return row == 0 ? vcombine_s32(vget_low_s32(sums.first), vget_low_s32(sums.second))
                  : vcombine_s32(vget_high_s32(sums.first), vget_high_s32(sums.second));
}

struct TwoRows {
  static constexpr int kTake = 8, kRun = 64, kTogether = 2, kCodeBytes = 1, kMostBits = 8;
  static uint8x16_t broadcast(const std::uint8_t* codes, std::int64_t pitch) {
    return vcombine_u8(vld1_u8(codes), vld1_u8(codes + pitch));
  }
};

struct Standard : RoundedHalves, TwoRows {
  static constexpr int kTileRows = 4;
  struct Total {
    Square high, low;
  };
  using Sums = Total;
  struct X {
    Pairs high, low;
  };
  static X load(const unsigned char* x) { return {pairs_of(x, x + 32), pairs_of(x + 16, x + 48)}; }
  static Total begin(const float* low) { return {{vdupq_n_s32(0), vdupq_n_s32(0)}, both_rows(low)}; }
  static Sums start(const Total& total) { return total; }
  static void accumulate(Sums& sums, uint8x16_t w, const X& x) {
    multiply_add(sums.high, w, x.high);
    multiply_add(sums.low, w, x.low);
  }
  static void finish(Total& total, const Sums& sums) { total = sums; }
  static F total(const Total& t, int row) {
    return {vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(row_of(t.high, row), 8), row_of(t.low, row)))};
  }
};

struct Fast : RoundedBytes, TwoRows {
  static constexpr int kTileRows = 8;
  using Total = Square;
  using Sums = Square;
  using X = Pairs;
  static X load(const unsigned char* x) { return pairs_of(x, x + 16); }
  static Total begin(const float* total) { return both_rows(total); }
  static Sums start(const Total& total) { return total; }
  static void accumulate(Sums& sums, uint8x16_t w, const X& x) { multiply_add(sums, w, x); }
  static void finish(Total& total, const Sums& sums) { total = sums; }
  static F total(const Total& t, int row) { return {vcvtq_f32_s32(row_of(t, row))}; }
};

#include "backend/cpu/units/integer_tile.inl.h"

}  // namespace

const MatrixIntegers kNeonI8mmMatrices = {scheme<Standard>(), scheme<Fast>(), has_matrix_products};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
