// What rows of x and codes become for AVX2's few-row products: integers that multiply in bytes or in words, and streams
// of bits that become vectors of them. Included inside a unit's unnamed namespace, after its floats, integers and
// packed rows.

// ---- schemes -------------------------------------------------------------------------------------------------------

/// Sixteen rounded activations; adds them to `total`.
inline __m256i rounded(const float* x, float inverse, __m256i& total) {
  const __m256 unit = _mm256_set1_ps(inverse);
  const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), unit));
  const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + kLanes), unit));
  total = _mm256_add_epi32(total, _mm256_add_epi32(low, high));
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
}

/// Activations and codes in bytes: the products of two vectors of codes add up in 16 bits.
struct Bytes {
  static constexpr int kSize = 1;
  static constexpr float kMost = 127.f;
  /// A block of activations; returns their sum.
  static std::int32_t round(const float* x, float inverse, unsigned char* out) {
    __m256i total = _mm256_setzero_si256();
    const __m256i low = rounded(x, inverse, total), high = rounded(x + 16, inverse, total);
    store256(out, _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8));
    return total_of(total);
  }
  static __m256i dot(const __m256i (&codes)[2], const unsigned char* x) {
    const __m256i sum =
        _mm256_add_epi16(_mm256_maddubs_epi16(codes[0], load256(x)), _mm256_maddubs_epi16(codes[1], load256(x + 32)));
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
  }
};

/// The same in 16 bits, where two codes may be of eight.
struct Words {
  static constexpr int kSize = 2;
  static constexpr float kMost = 32512.f;
  static std::int32_t round(const float* x, float inverse, unsigned char* out) {
    __m256i total = _mm256_setzero_si256();
    for (int i = 0; i < 2; ++i) store256(out + 32 * i, rounded(x + 16 * i, inverse, total));
    return total_of(total);
  }
  static __m256i dot(const __m256i (&codes)[4], const unsigned char* x) {
    const __m256i even =
        _mm256_add_epi32(_mm256_madd_epi16(codes[0], load256(x)), _mm256_madd_epi16(codes[1], load256(x + 32)));
    const __m256i odd =
        _mm256_add_epi32(_mm256_madd_epi16(codes[2], load256(x + 64)), _mm256_madd_epi16(codes[3], load256(x + 96)));
    return _mm256_add_epi32(even, odd);
  }
};

constexpr int kChunkBlocks = kLanes;
constexpr int kChunkPairs = kChunkBlocks / 2;
constexpr int kChunkWeights = kChunkBlocks * kFewBlock, kRoundedWeights = kFewBlock;

/// Of one chunk of a packed row of x: the rounded activations, a vector of their units and one of their sums.
template <class Scheme>
constexpr int kUnits = kChunkWeights* Scheme::kSize;
template <class Scheme>
constexpr int kXBytes = kUnits<Scheme> + 8 * kLanes;

/// Where the scales of block `b` of a chunk stand in a vector: pair j has lane j of each half.
constexpr int lane_of(int b) { return b % 2 * kChunkPairs + b / 2; }

/// Block `b` of a chunk, in the half of its pair's vectors. The sum is that of the rounded activations, exact: with the
/// original ones their rounding would meet uncentred codes.
template <class Scheme>
bool pack_block(const float* x, const std::uint8_t* order, int b, unsigned char* chunk, Rounding& rounding) {
  const std::uint32_t bits = max_magnitude(x, kFewBlock);
  const float most = __builtin_bit_cast(float, bits);
  if (!has_integers(bits)) return false;
  float ordered[kFewBlock];
  for (int i = 0; i < kFewBlock; ++i) ordered[i] = x[order[i]];
  unsigned char block[kFewBlock * Scheme::kSize];
  const float unit = most / Scheme::kMost, inverse = bits == 0 ? 0.f : Scheme::kMost / most;
  const std::int32_t total = Scheme::round(ordered, inverse, block);
  const float sum = unit * static_cast<float>(total);
  rounding.add(x, kFewBlock, inverse, unit);
  unsigned char* half = chunk + b / 2 * 2 * sizeof(block) + b % 2 * 16;
  for (unsigned i = 0; i < sizeof(block); i += 16) store128(half + 2 * i, load128(block + i));
  __builtin_memcpy(chunk + kUnits<Scheme> + 4 * lane_of(b), &unit, 4);
  __builtin_memcpy(chunk + kUnits<Scheme> + 4 * (kLanes + lane_of(b)), &sum, 4);
  return true;
}

#include "backend/cpu/units/pack_row.inl.h"

// ---- codes ---------------------------------------------------------------------------------------------------------

/// How the codes of a pair of blocks, a stream of bits, become vectors of bytes or words, a block in each half. A
/// vector of windows as wide as its elements holds `kPerWindow` whole codes each, or copies of fewer windows do, of
/// which each serves other codes; then each vector of codes is a shift and a mask.
template <int kBits, class Scheme, int kStride = 4 * kBits>  ///< bytes from block to block
struct Stream {
  static constexpr int kWindow = 8 * Scheme::kSize, kInHalf = 16 / Scheme::kSize;
  static constexpr int kVectors = kFewBlock / kInHalf;
  static constexpr bool kWhole = kWindow % kBits == 0;  ///< windows lie side by side
  static constexpr int kPerWindow = kWhole ? kWindow / kBits : kBits == 3 ? 4 : 2;
  static constexpr int kCopies = kPerWindow > kVectors ? kPerWindow / kVectors : 1;
  static constexpr int kShifts = kPerWindow / kCopies;  ///< vectors of codes from one of windows
  static constexpr int kParts = kVectors / kShifts;
  static constexpr int kWindows = kInHalf / kCopies;                    ///< of a half, that differ
  static constexpr int kHalfBytes = kWindows * kPerWindow * kBits / 8;  ///< that a half's windows come from
  static_assert(kWhole || kWindow == 16);
  static_assert(kHalfBytes * kParts == kFewBlock * kBits / 8);

  /// Which weight of the block stands in place i of its half of vector t.
  static constexpr int weight(int t, int i) {
    return t / kShifts * kWindows * kPerWindow + i % kWindows * kPerWindow + i / kWindows * kShifts + t % kShifts;
  }

  [[gnu::always_inline]] static void codes(const unsigned char* pair, __m256i (&out)[kVectors]) {
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      const __m256i windows = windows_of(pair, part);
#pragma GCC unroll 4
      for (int s = 0; s < kShifts; ++s) {
        // Windows that were gathered have their codes at the top.
        const int shift = kWhole ? s * kBits : kWindow - (kShifts - s) * kBits;
        __m256i v = shift == 0 ? windows : _mm256_srli_epi16(windows, shift);
        if (shift + kBits < 16 || kCopies > 1) v = _mm256_and_si256(v, mask());
        out[part * kShifts + s] = v;
      }
    }
  }

 private:
  static __m256i mask() {
    constexpr int kMask = (1 << kBits) - 1;
    return kWindow == 16 ? _mm256_set1_epi16(kMask) : _mm256_set1_epi8(kMask);
  }
  [[gnu::always_inline]] static __m256i windows_of(const unsigned char* pair, int part) {
    const unsigned char *low = pair + part * kHalfBytes, *high = low + kStride;
    if constexpr (kHalfBytes == 8) {
      constexpr int kShift = kShifts * kBits;
      const __m256i copies = _mm256_permute4x64_epi64(_mm256_castsi128_si256(load128(low)), 0x50);
      return _mm256_srlv_epi64(copies, _mm256_setr_epi64x(0, kShift, 0, kShift));
    } else if constexpr (kHalfBytes == 16) {
      return kStride == 16 ? load256(low) : halves(low, high);
    } else {
      const Gather& gather = kGather[part];
      const __m256i bytes = _mm256_shuffle_epi8(halves(low, high - gather.back), load256(gather.bytes));
      return _mm256_mullo_epi16(bytes, _mm256_broadcastsi128_si256(load128(gather.factor)));
    }
  }
  static __m256i halves(const unsigned char* low, const unsigned char* high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(low)), load128(high), 1);
  }

  /// The two bytes that hold each window, and the factor that shifts its last code to the top. Sixteen bytes are read,
  /// those of the second block from further back where they would go past its end.
  struct Gather {
    alignas(32) std::uint8_t bytes[32];
    alignas(16) std::uint16_t factor[8];
    int back;
  };
  static constexpr Gather gather(int part) {
    Gather g{};
    g.back = part == kParts - 1 ? part * kHalfBytes + 16 - kStride : 0;
    for (int i = 0; i < 8; ++i) {
      const int bit = i * kPerWindow * kBits;
      for (int half = 0; half < 2; ++half) {
        const int byte = bit / 8 + half * g.back;
        g.bytes[16 * half + 2 * i] = static_cast<std::uint8_t>(byte);
        g.bytes[16 * half + 2 * i + 1] = static_cast<std::uint8_t>(byte + 1);
      }
      g.factor[i] = static_cast<std::uint16_t>(1 << (16 - kShifts * kBits - bit % 8));
    }
    return g;
  }
  static constexpr Gather kGather[2] = {gather(0), gather(kParts - 1)};
};
