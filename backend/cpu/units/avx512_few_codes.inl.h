// How streams of bits become codes for AVX-512's few-row products: vectors in which each block has eight bytes.
// Included inside a unit's unnamed namespace after its floats, integers and Codes.

inline __m512i load_table(const Table& t) { return _mm512_load_si512(t.v); }

template <int kBits>
inline __m512i codes_of(__m512i pieces) {
  const __m512i shifted = _mm512_multishift_epi64_epi8(load_table(kShift<kBits>), pieces);
  return _mm512_and_si512(shifted, _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1)));
}

/// Two halves of a vector. Zen 5 takes from memory what is loaded so up to 5% faster than in one piece.
inline __m512i load_halves(const unsigned char* low, const unsigned char* high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(load256(low)), load256(high), 1);
}
/// The 64 bytes of a chunk from `start` on, of which the row has `bytes`, kWhole: all; the rest is zero.
template <bool kWhole>
inline __m512i load_bytes(const unsigned char* chunk, int start, std::int64_t bytes) {
  const std::int64_t left = bytes - start;
  if (kWhole || left >= 64) return load_halves(chunk + start, chunk + start + 32);
  return left <= 0 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi8(~(~std::uint64_t{0} << left), chunk + start);
}

/// Of eight bytes each, pieces of the blocks 0 and 2, 1 and 3, 4 and 6, 5 and 7 to those of all blocks in turn.
[[gnu::always_inline]] inline void transpose_pieces(const __m512i (&v)[4], Codes (&codes)[4]) {
  const __m512i even[2] = {_mm512_unpacklo_epi64(v[0], v[1]), _mm512_unpacklo_epi64(v[2], v[3])};
  const __m512i odd[2] = {_mm512_unpackhi_epi64(v[0], v[1]), _mm512_unpackhi_epi64(v[2], v[3])};
  codes[0].v = _mm512_shuffle_i64x2(even[0], even[1], 0x88);
  codes[1].v = _mm512_shuffle_i64x2(odd[0], odd[1], 0x88);
  codes[2].v = _mm512_shuffle_i64x2(even[0], even[1], 0xdd);
  codes[3].v = _mm512_shuffle_i64x2(odd[0], odd[1], 0xdd);
}

/// Three bits: a chunk is one vector and a half, a block three words. Its first two hold the codes of t = 0 and 1, its
/// last two those of t = 2 and 3.
constexpr int kSecondStart = 32;
constexpr Table two_words(int first) {
  Table table{};
  for (int i = 0; i < 16; ++i) {
    const int word = 3 * (i / 2) + first + i % 2;
    table.v[4 * i] = static_cast<std::uint8_t>(word < 16 ? word : 16 + word - kSecondStart / 4);
  }
  return table;
}
constexpr Table kTwoWords[2] = {two_words(0), two_words(1)};
constexpr long long three_bits(int from) {
  std::uint64_t shifts = 0;
  for (int i = 0; i < 8; ++i) shifts |= static_cast<std::uint64_t>(from + 3 * i) << 8 * i;
  return static_cast<long long>(shifts);
}

/// Eight bits: a block is half a vector. Blocks j and j + 2 of a chunk of which the row has `bytes`.
template <bool kWhole>
inline __m512i two_blocks(const unsigned char* chunk, int j, std::int64_t bytes) {
  const unsigned char* block = chunk + j * kFewBlock;
  if (kWhole || bytes >= (j + 3) * kFewBlock) return load_halves(block, block + 2 * kFewBlock);
  return bytes > j * kFewBlock ? _mm512_zextsi256_si512(load256(block)) : _mm512_setzero_si512();
}

/// Five and six bits: a vector holds the pieces of two blocks, first those of t = 0; then vectors exchange lanes.
constexpr int pair_start(int bits, int i) { return i < 3 ? 8 * bits * i : 32 * bits - 64; }
constexpr Table pair_table(int bits, bool last) {
  Table table{};
  const int skip = last ? 64 - 8 * bits : 0;
  for (int i = 0; i < 64; ++i) {
    table.v[i] =
        static_cast<std::uint8_t>(skip + 4 * bits * (i / 8 % 2) + bits * (i / 16) + (i % 8 < bits ? i % 8 : 0));
  }
  return table;
}
template <int kBits>
constexpr Table kPair[2] = {pair_table(kBits, false), pair_table(kBits, true)};

inline void transpose_lanes(__m512i (&v)[4]) {
  const __m512i even0 = _mm512_shuffle_i32x4(v[0], v[1], 0x88), odd0 = _mm512_shuffle_i32x4(v[0], v[1], 0xdd);
  const __m512i even1 = _mm512_shuffle_i32x4(v[2], v[3], 0x88), odd1 = _mm512_shuffle_i32x4(v[2], v[3], 0xdd);
  v[0] = _mm512_shuffle_i32x4(even0, even1, 0x88);
  v[1] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
  v[2] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
  v[3] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
}

constexpr Table qword_table(int first) {
  Table table{};
  for (int j = 0; j < 8; ++j) table.v[8 * j] = static_cast<std::uint8_t>(2 * j + first);
  return table;
}
constexpr Table kQwords[2] = {qword_table(0), qword_table(1)};

template <int kBits, bool kWhole>
[[gnu::always_inline]] inline void affine_chunk(const unsigned char* in, std::int64_t bytes, Codes (&codes)[4]) {
  const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1));
  if constexpr (kBits == 2) {
    const __m512i all = load_bytes<kWhole>(in, 0, bytes);
    codes[0].v = _mm512_and_si512(all, mask);
    codes[1].v = _mm512_and_si512(_mm512_srli_epi16(all, 2), mask);
    codes[2].v = _mm512_and_si512(_mm512_srli_epi16(all, 4), mask);
    codes[3].v = _mm512_and_si512(_mm512_srli_epi16(all, 6), mask);
  } else if constexpr (kBits == 4) {
    const __m512i first = load_bytes<kWhole>(in, 0, bytes), second = load_bytes<kWhole>(in, 64, bytes);
    for (int h = 0; h < 2; ++h) {
      const __m512i half = _mm512_permutex2var_epi64(first, load_table(kQwords[h]), second);
      codes[2 * h].v = _mm512_and_si512(half, mask);
      codes[2 * h + 1].v = _mm512_and_si512(_mm512_srli_epi16(half, 4), mask);
    }
  } else if constexpr (kBits == 3) {
    const __m512i first = load_bytes<kWhole>(in, 0, bytes), second = load_bytes<kWhole>(in, kSecondStart, bytes);
    for (int t = 0; t < 4; ++t) {
      const __m512i words = _mm512_permutex2var_epi32(first, load_table(kTwoWords[t / 2]), second);
      const __m512i shifts = _mm512_set1_epi64(three_bits(24 * t - 32 * (t / 2)));
      codes[t].v = _mm512_and_si512(_mm512_multishift_epi64_epi8(shifts, words), mask);
    }
  } else if constexpr (kBits == 8) {
    const __m512i v[4] = {two_blocks<kWhole>(in, 0, bytes), two_blocks<kWhole>(in, 1, bytes),
                          two_blocks<kWhole>(in, 4, bytes), two_blocks<kWhole>(in, 5, bytes)};
    transpose_pieces(v, codes);
  } else {
    __m512i v[4];
    for (int i = 0; i < 4; ++i) {
      const __m512i pair = load_bytes<kWhole>(in, pair_start(kBits, i), bytes);
      v[i] = _mm512_permutexvar_epi8(load_table(kPair<kBits>[i == 3]), pair);
    }
    transpose_lanes(v);
    for (int t = 0; t < 4; ++t) codes[t].v = codes_of<kBits>(v[t]);
  }
}
