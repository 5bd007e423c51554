// The IQ formats for AVX2: of IQ1 the names of a block's rows, and whether an eighth is taken off each, by vectors, so
// that row by row nothing is left but loads; of the others a block's signs, once and in a register: a vector that is
// read after parts of it were written waits for memory. Included inside a unit's unnamed namespace after
// few_blocks.inl.h, before its columns are instantiated.

/// A word for each row of a block: its name; and in either byte what is added to its numbers, 1 or −1.
struct ShiftedRows {
  alignas(32) std::uint16_t names[32], shifts[32];

  /// Sixteen of them, from the low bytes of their names and words of which three bits of the upper byte are the rest;
  /// `less`: words whose top bit tells.
  void put(int first, const unsigned char* low, __m256i high, __m256i less) {
    const __m256i rest = _mm256_and_si256(high, _mm256_set1_epi16(0x700));
    const __m256i shift = _mm256_or_si256(_mm256_srai_epi16(less, 15), _mm256_set1_epi16(0x101));
    store256(names + first, _mm256_or_si256(_mm256_cvtepu8_epi16(load128(low)), rest));
    store256(shifts + first, shift);
  }
};

inline void read_rows(IQ1S, const unsigned char* block, ShiftedRows& rows) {
  const __m256i words =
      _mm256_broadcastsi128_si256(load128(block + 34));  // each of four rows, of which three bits each
  const __m256i up = _mm256_set1_epi64x(0x0000000400200100);
  const __m256i first_four =
      _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
  for (int half = 0; half < 2; ++half) {
    const __m256i from = _mm256_add_epi8(first_four, _mm256_set1_epi8(static_cast<char>(8 * half)));
    const __m256i own = _mm256_shuffle_epi8(words, from);
    const __m256i high = _mm256_blend_epi16(_mm256_mullo_epi16(own, up), _mm256_srli_epi16(own, 1), 0x88);
    rows.put(16 * half, block + 2 + 16 * half, high, own);
  }
}

inline void read_rows(IQ1M, const unsigned char* block, ShiftedRows& rows) {
  const __m256i bytes = _mm256_broadcastsi128_si256(load128(block + 32));  // four bits of each row
  const __m256i first_eight =
      _mm256_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7);
  for (int half = 0; half < 2; ++half) {
    const __m256i from = _mm256_add_epi8(first_eight, _mm256_set1_epi8(static_cast<char>(8 * half)));
    const __m256i own = _mm256_shuffle_epi8(bytes, from);
    const __m256i high = _mm256_blend_epi16(own, _mm256_srli_epi16(own, 4), 0xaa);
    rows.put(16 * half, block + 16 * half, high, _mm256_slli_epi16(high, 4));
  }
}

template <class Block>
requires(Block::kShiftedRows > 0) class BlockColumns<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* const (&in)[kPackedRows]) { read_rows(Block{}, in[0], rows_); }
  [[gnu::always_inline]] void part(int, int p, Columns (&codes)[4]) const {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 6,
                                            6, 6, 6, 6, 6, 6, 6);
    Columns rows[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const int first = 16 * p + 4 * s;
      const auto at = [&](int i) __attribute__((always_inline)) {
        return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(Block::kGrid.v[rows_.names[first + i]]));
      };
      const __m256i numbers = _mm256_set_m128i(_mm_unpacklo_epi64(at(2), at(3)), _mm_unpacklo_epi64(at(0), at(1)));
      std::int64_t four;
      __builtin_memcpy(&four, rows_.shifts + first, 8);
      rows[s].v = _mm256_add_epi8(numbers, _mm256_shuffle_epi8(_mm256_set1_epi64x(four), spread));
    }
    transpose_groups(rows, codes);
  }

 private:
  static_assert(kPackedRows == 1);
  ShiftedRows rows_;
};

inline EightBits words_of(__m256i a) { return __builtin_bit_cast(EightBits, a); }
/// See with_eighth_signs.
inline __m256i with_eighths(EightBits sevens) {
  EightBits odd = sevens ^ sevens >> 4;
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return __builtin_bit_cast(__m256i, sevens | (odd & 0x01010101) << 7);
}
/// See signs_of_32.
inline __m256i signs_of_words(__m256i words) {
  const EightBits word = words_of(words), pairs = (word & 0x3fff) | (word & 0xfffc000) << 2;
  return with_eighths((pairs & 0x7f007f) | (pairs & 0x3f803f80) << 1);
}
inline __m256i block_signs(IQ2XXS, const unsigned char* block) {
  const __m256 low = _mm256_castsi256_ps(load256(block + 2)), high = _mm256_castsi256_ps(load256(block + 34));
  const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xdd));  // of halves by turns
  return signs_of_words(_mm256_permute4x64_epi64(odd, 0xd8));
}
inline __m256i block_signs(IQ3XXS, const unsigned char* block) { return signs_of_words(load256(block + 66)); }
inline __m256i block_signs(IQ2XS, const unsigned char* block) {
  const __m256i low = _mm256_srli_epi16(load256(block + 2), 9), high = _mm256_srli_epi16(load256(block + 34), 9);
  return with_eighths(words_of(_mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xd8)));
}
inline __m256i block_signs(IQ2S, const unsigned char* block) { return load256(block + 34); }
inline __m256i block_signs(IQ3S, const unsigned char* block) { return load256(block + 74); }

template <class Block>
concept HasSigns = requires(const unsigned char* block) {
  block_signs(Block{}, block);
};
template <HasSigns Block>
class BlockColumns<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* const (&in)[kPackedRows]) {
    in_ = in[0];
    signs_ = block_signs(Block{}, in_);
  }
  [[gnu::always_inline]] void part(int, int p, Columns (&codes)[4]) const {
    const Columns signs = {p == 0 ? _mm256_permute2x128_si256(signs_, signs_, 0x00)
                                  : _mm256_permute2x128_si256(signs_, signs_, 0x11)};
    Columns rows[4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      rows[s] = Columns::rows([&](int r) { return Block::row(in_, r); }, 4 * s, p);
      rows[s] = rows[s].around(Block::kZero, signs.pick(kBytesOfWeights[s], p));
    }
    transpose_groups(rows, codes);
  }

 private:
  const unsigned char* in_;
  __m256i signs_;
};
