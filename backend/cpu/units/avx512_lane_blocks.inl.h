// GGUF's blocks of 32 weights as lanes: four of a row are one chunk, of which sixteen bytes after sixteen bytes turn,
// scales among codes. Included inside a unit's unnamed namespace after avx512_lane_codes.inl.h and blocks.h.
//
// Blocks of 18, 22 and 34 bytes begin in the middle of a word every second time. Of such a one words are taken as they
// lie but the first, which begins with the last two bytes: x is ordered alike.

/// The low halves of the words of a and the high ones of b.
inline __m512i join_halves(__m512i a, __m512i b) { return _mm512_mask_mov_epi16(a, 0xaaaaaaaa, b); }
/// Both halves of each word as f16.
inline void widen_both(__m512i words, F& low, F& high) {
  const __m512i even_first =
      _mm512_setr_epi32(0x00020000, 0x00060004, 0x000a0008, 0x000e000c, 0x00120010, 0x00160014, 0x001a0018, 0x001e001c,
                        0x00030001, 0x00070005, 0x000b0009, 0x000f000d, 0x00130011, 0x00170015, 0x001b0019, 0x001f001d);
  const __m512i apart = _mm512_permutexvar_epi16(even_first, words);
  low.v = _mm512_cvtph_ps(_mm512_castsi512_si256(apart));
  high.v = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(apart, 1));
}

template <class B>
class BlockLanes {
  static constexpr int kBlocks = 4, kBlockSteps = kLeastBlock / 4;
  static constexpr bool kNibbles = B::kHalf < kLeastBlock;
  static constexpr int kLowBytes = kNibbles ? kLeastBlock / 2 : kLeastBlock;
  /// Whether block b's codes begin in the middle of a word.
  static constexpr bool is_split(int b) { return (b * B::kHalf + B::low) % 4 != 0; }
  static constexpr int weight_at(int b, int place) {
    const int plane = place / kLowBytes * kLowBytes, byte = place - plane;
    return plane + (byte + kLowBytes - (is_split(b) ? 2 : 0)) % kLowBytes;
  }
  /// Shifts that bring the bits of the weights of a step of block b to bit 4 of their bytes, in two words.
  static constexpr long long fifth_bits(int b, int step) {
    const bool turned = (b * B::kHalf + B::high) % 4 != 0;
    std::uint64_t shifts = 0;
    for (int i = 0; i < 8; ++i) {
      const int bit = (weight_at(b, 4 * step + i % 4) + (turned ? 16 : 0)) % 32 + i / 4 * 32;
      shifts |= static_cast<std::uint64_t>((bit + 60) % 64) << 8 * i;
    }
    return static_cast<long long>(shifts);
  }

 public:
  static constexpr int kChunk = kBlocks * kLeastBlock, kBytes = kBlocks * B::kHalf, kZero = B::zero;
  static constexpr Table kOrder = [] {
    Table t{};
    for (int i = 0; i < 64; ++i) t.v[i] = static_cast<std::uint8_t>(weight_at(i / kLeastBlock, i % kLeastBlock));
    return t;
  }();

  explicit BlockLanes(const LaneProduct& a) : rows_(a, 0, a.begin / kLeastBlock * B::kHalf) {}

  const unsigned char (*codes() const)[kVectors][64] { return codes_; }

  template <class Chunk>
  void read(std::int64_t c, std::int64_t left, Chunk& w) {
    w.scales = scales_[0];
    w.biases = biases_[0];
    read_padded<kBytes>(rows_, c * kBytes, left / kLeastBlock * B::kHalf,
                        [&](const auto& rows, std::int64_t offset) { read_whole(rows, offset); });
  }

 private:
  [[gnu::noinline]] void read_whole(const unsigned char* const (&rows)[kLaneRows], std::int64_t offset) {
    for (int vector = 0; vector < kVectors; ++vector) {
      __m512i words[kBytes / 4];
      turn_words<WholeWords<kBytes>>(rows + vector * kLanes, offset, words);
      each<kBlocks>([&](auto b) __attribute__((always_inline)) {
        read_codes<b>(words, vector);
        read_scale<b>(words, vector);
      });
    }
  }

  template <int kBlock>
  [[gnu::always_inline]] void read_codes(const __m512i (&words)[kBytes / 4], int vector) {
    constexpr int kLow = kBlock * B::kHalf + B::low, kWord = kLow / 4, kCount = kLowBytes / 4;
    each<kCount>([&](auto i) __attribute__((always_inline)) {
      __m512i word = words[kWord + i];
      if constexpr (i == 0 && is_split(kBlock)) word = join_halves(words[kWord + kCount], word);
      if constexpr (kNibbles) {
        const __m512i nibble = _mm512_set1_epi8(15);
        store<kBlock, i>(words, vector, _mm512_and_si512(word, nibble));
        store<kBlock, kCount + i>(words, vector, _mm512_and_si512(_mm512_srli_epi16(word, 4), nibble));
      } else {
        store<kBlock, i>(words, vector, _mm512_xor_si512(word, _mm512_set1_epi8(static_cast<char>(B::zero))));
      }
    });
  }
  template <int kBlock, int kStep>
  [[gnu::always_inline]] void store(const __m512i (&words)[kBytes / 4], int vector, __m512i codes) {
    if constexpr (B::high != 0) {
      constexpr int kHigh = kBlock * B::kHalf + B::high, kWord = kHigh / 4;
      const __m512i bits = kHigh % 4 == 0 ? words[kWord] : join_halves(words[kWord + 1], words[kWord]);
      const __m512i fifth = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(fifth_bits(kBlock, kStep)), bits);
      codes = _mm512_or_si512(codes, _mm512_and_si512(fifth, _mm512_set1_epi8(16)));
    }
    _mm512_store_si512(codes_[kBlock * kBlockSteps + kStep][vector], codes);
  }

  /// A scale and its minimum are one word; without minima, the scales of two blocks.
  template <int kBlock>
  [[gnu::always_inline]] void read_scale(const __m512i (&words)[kBytes / 4], int vector) {
    constexpr int kAt = kBlock * B::kHalf, kWord = kAt / 4;
    F first, second;
    if constexpr (B::minimum != 0) {
      widen_both(words[kWord], first, second);
      store_f32(scales_[kBlock] + vector * kLanes, first);
      store_f32(biases_[kBlock] + vector * kLanes, second);
    } else if constexpr (kAt % 4 != 0) {
      widen_both(join_halves(words[kWord - B::kHalf / 4], words[kWord]), first, second);
      store_f32(scales_[kBlock - 1] + vector * kLanes, first);
      store_f32(scales_[kBlock] + vector * kLanes, second);
    }
  }

  alignas(64) unsigned char codes_[kBlocks * kBlockSteps][kVectors][64];
  alignas(64) float scales_[kBlocks][kLaneRows], biases_[kBlocks][kLaneRows];
  const RowPlaces rows_;
};
