// Streams of codes and their scales as lanes: of 32 packed rows, words and halves of words turn. Included inside a
// unit's unnamed namespace after its floats and integers, kVectors and block_of.
//
// A Source says
//   kChunk, kBytes    weights of a packed row that are read together; bytes that they take, scales among them included
//   kOrder            which of 64 activations stands at each place, as codes come out
//   kZero             the code whose value is 0; 0: groups have biases
//   codes()           (step, vector): a step has four codes of each row
//   read(c, left, w)  reads chunk c, where a row has `left` weights more; tells w its scales and biases

/// Words of sixteen rows, of which each has `bytes` more.
[[gnu::always_inline]] inline void load_words(const unsigned char* const* rows, std::int64_t offset, std::int64_t bytes,
                                              __m512i (&r)[kLanes]) {
  if (bytes >= 64) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = _mm512_loadu_si512(rows[i] + offset);
  } else {
    const __mmask64 some = ~(~std::uint64_t{0} << bytes);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = _mm512_maskz_loadu_epi8(some, rows[i] + offset);
  }
}

/// What turns: kCount pieces of sixteen bytes, of which piece p begins at byte at(p) and becomes four words.
template <int kWholeBytes>
struct WholeWords {
  static constexpr int kBytes = kWholeBytes, kCount = (kBytes + 15) / 16, kWords = kBytes / 4;
  /// The last one ends with them, whatever it shares with the one before.
  static constexpr int at(int p) { return p + 1 < kCount ? 16 * p : kBytes - 16; }
  static constexpr int word(int p) { return at(p) / 4; }
  template <int>
  static __m512i aligned(__m512i piece) {
    return piece;
  }
};

/// kCount pieces of sixteen rows from the kFirst on, a vector for each word.
template <class Pieces, int kFirst, int kCount>
[[gnu::always_inline]] inline void turn_pieces(const unsigned char* const* rows, std::int64_t offset,
                                               __m512i (&words)[Pieces::kWords]) {
  __m512i v[kCount][4];
  each<4>([&](auto i) __attribute__((always_inline)) {
    const unsigned char *r0 = rows[i] + offset, *r1 = rows[4 + i] + offset, *r2 = rows[8 + i] + offset,
                        *r3 = rows[12 + i] + offset;
    each<kCount>([&](auto p) __attribute__((always_inline)) {
      constexpr int kAt = Pieces::at(kFirst + p);
      __m512i four = _mm512_castsi128_si512(load128(r0 + kAt));
      four = _mm512_mask_broadcast_i32x4(four, 0x00f0, load128(r1 + kAt));
      four = _mm512_mask_broadcast_i32x4(four, 0x0f00, load128(r2 + kAt));
      four = _mm512_mask_broadcast_i32x4(four, 0xf000, load128(r3 + kAt));
      v[p][i] = Pieces::template aligned<kFirst + p>(four);
    });
  });
  each<kCount>([&](auto p) __attribute__((always_inline)) {
    constexpr int kWord = Pieces::word(kFirst + p);
    const __m512i low0 = _mm512_unpacklo_epi32(v[p][0], v[p][1]), low1 = _mm512_unpacklo_epi32(v[p][2], v[p][3]);
    const __m512i high0 = _mm512_unpackhi_epi32(v[p][0], v[p][1]), high1 = _mm512_unpackhi_epi32(v[p][2], v[p][3]);
    words[kWord] = _mm512_unpacklo_epi64(low0, low1);
    words[kWord + 1] = _mm512_unpackhi_epi64(low0, low1);
    words[kWord + 2] = _mm512_unpacklo_epi64(high0, high1);
    words[kWord + 3] = _mm512_unpackhi_epi64(high0, high1);
  });
}
/// All of them, as many at once as registers hold.
template <class Pieces>
[[gnu::always_inline]] inline void turn_words(const unsigned char* const* rows, std::int64_t offset,
                                              __m512i (&words)[Pieces::kWords]) {
  constexpr int kAll = Pieces::kCount, kHalf = kAll <= 6 ? kAll : (kAll + 1) / 2;
  turn_pieces<Pieces, 0, kHalf>(rows, offset, words);
  if constexpr (kHalf < kAll) turn_pieces<Pieces, kHalf, kAll - kHalf>(rows, offset, words);
}

struct RowPlaces {
  const unsigned char* of[kLaneRows];
  RowPlaces(const LaneProduct& a, int component, std::int64_t offset) {
    for (int r = 0; r < kLaneRows; ++r) {  // the last one again past the end
      of[r] = a.w.first.component[component] + (r < a.w.rows ? r : a.w.rows - 1) * a.pitch[component] + offset;
    }
  }
};

/// read(rows, offset) of kBytes of each row, of which there are `bytes`; zeros stand for the rest.
template <int kBytes, class Read>
inline void read_padded(const RowPlaces& rows, std::int64_t offset, std::int64_t bytes, Read&& read) {
  if (bytes >= kBytes) return read(rows.of, offset);
  unsigned char last[kLaneRows][kBytes] = {};
  const unsigned char* padded[kLaneRows];
  for (int r = 0; r < kLaneRows; ++r) {
    __builtin_memcpy(last[r], rows.of[r] + offset, static_cast<std::size_t>(bytes));
    padded[r] = last[r];
  }
  read(padded, 0);
}

/// Scales or biases of some groups of 32 rows, a vector for each group and sixteen rows.
constexpr int kSliceGroups = 32, kSliceWords = 16;
struct Scales {
  alignas(64) float v[kSliceGroups][kLaneRows];

  [[gnu::noinline]] void read(const unsigned char* const (&rows)[kLaneRows], std::int64_t offset, std::int64_t bytes,
                              Element element) {
    for (int vector = 0; vector < kVectors; ++vector) {
      __m512i r[kSliceWords];
      load_words(rows + vector * kLanes, offset, bytes, r);
      transpose_words(r);
      float* out = &v[0][vector * kLanes];
      for (int word = 0; word < kSliceWords; ++word) {
        if (element == Element::f32) {
          _mm512_store_si512(out + word * kLaneRows, r[word]);
        } else if (element == Element::bf16) {
          const __m512i high = _mm512_and_si512(r[word], _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
          _mm512_store_si512(out + 2 * word * kLaneRows, _mm512_slli_epi32(r[word], 16));
          _mm512_store_si512(out + (2 * word + 1) * kLaneRows, high);
        } else {
          const __m256i low = _mm512_cvtepi32_epi16(r[word]),
                        high = _mm512_cvtepi32_epi16(_mm512_srli_epi32(r[word], 16));
          _mm512_store_ps(out + 2 * word * kLaneRows, _mm512_cvtph_ps(low));
          _mm512_store_ps(out + (2 * word + 1) * kLaneRows, _mm512_cvtph_ps(high));
        }
      }
    }
  }
};

/// 128 weights and more of a stream of bits: whole words of codes, brought to their bytes by shifts.
template <int kBits>
struct StreamCodes {
  static constexpr int kBytes = 64, kPer = 8 / kBits, kChunk = kBytes * kPer;
  static constexpr Table kOrder = [] {
    Table t{};
    constexpr int kPerWord = 4 * kPer;
    for (int i = 0; i < 64; ++i) {  // of a word, first those that need no shift
      const int word = i % 32 / kPerWord, shift = i % kPerWord / 4, byte = i % 4;
      t.v[i] = static_cast<std::uint8_t>(word * kPerWord + byte * kPer + shift);
    }
    return t;
  }();
  template <class Codes>
  static void read(const unsigned char* const* rows, std::int64_t offset, int vector, Codes& codes) {
    __m512i words[kBytes / 4];
    turn_words<WholeWords<kBytes>>(rows, offset, words);
    each<kBytes / 4>([&](auto word) __attribute__((always_inline)) {
      each<kPer>([&](auto shift) __attribute__((always_inline)) {
        const __m512i shifted = shift == 0 ? words[word] : _mm512_srli_epi16(words[word], shift * kBits);
        const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1));
        _mm512_store_si512(codes[word * kPer + shift][vector], kBits == 8 ? shifted : _mm512_and_si512(shifted, mask));
      });
    });
  }
};
/// Where codes lie across words: of sixteen bytes, what four words take of whole steps becomes their own bytes first.
template <int kBits>
requires(8 % kBits != 0) struct StreamCodes<kBits> {
  static constexpr int kChunk = 128, kBytes = kChunk / 8 * kBits;
  static constexpr int kWordSteps = kBits == 3 ? 2 : 1, kStepBits = 4 * kBits, kWordBits = kWordSteps * kStepBits;
  static constexpr Table kOrder = [] {
    Table t{};
    for (int i = 0; i < 64; ++i) t.v[i] = static_cast<std::uint8_t>(i % 32);
    return t;
  }();

  struct Pieces {
    static constexpr int kPieceBytes = 4 * kWordBits / 8, kCount = kBytes / kPieceBytes, kWords = 4 * kCount;
    static constexpr int at(int p) { return p * kPieceBytes + 16 <= kBytes ? p * kPieceBytes : kBytes - 16; }
    static constexpr int word(int p) { return 4 * p; }
    template <int kPiece>
    static constexpr Table kFrom = [] {
      constexpr int kNone = 0x80;
      Table t{};
      for (int i = 0; i < 64; ++i) {
        const int byte = i % 16 / 4 * kWordBits / 8 + i % 4;
        t.v[i] = static_cast<std::uint8_t>(byte < kPieceBytes ? kPiece * kPieceBytes - at(kPiece) + byte : kNone);
      }
      return t;
    }();
    template <int kPiece>
    static __m512i aligned(__m512i piece) {
      return _mm512_shuffle_epi8(piece, _mm512_load_si512(kFrom<kPiece>.v));
    }
  };

  /// Shifts that bring the codes of a step of two words to their bytes.
  static constexpr long long shifts(int word, int step) {
    std::uint64_t shifts = 0;
    for (int i = 0; i < 8; ++i) {
      const int bit = word % 4 * kWordBits % 8 + step * kStepBits + i % 4 * kBits + i / 4 * 32;
      shifts |= static_cast<std::uint64_t>(bit) << 8 * i;
    }
    return static_cast<long long>(shifts);
  }
  template <class Codes>
  static void read(const unsigned char* const* rows, std::int64_t offset, int vector, Codes& codes) {
    __m512i words[Pieces::kWords];
    turn_words<Pieces>(rows, offset, words);
    each<Pieces::kWords>([&](auto word) __attribute__((always_inline)) {
      each<kWordSteps>([&](auto step) __attribute__((always_inline)) {
        constexpr long long kShifts = shifts(word, step);
        const __m512i shifted = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(kShifts), words[word]);
        const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1));
        _mm512_store_si512(codes[word * kWordSteps + step][vector], _mm512_and_si512(shifted, mask));
      });
    });
  }
};

/// MLX triplets.
template <int kBits>
class AffineLanes {
  using Codes = StreamCodes<kBits>;

 public:
  static constexpr int kBytes = Codes::kBytes, kChunk = Codes::kChunk, kZero = 0;
  static constexpr Table kOrder = Codes::kOrder;

  explicit AffineLanes(const LaneProduct& a)
      : a_(a),
        size_(a.scale == Element::f32 ? 4 : 2),
        slice_(64 / size_ * a.group),
        codes_at_(a, 0, a.begin * kBits / 8),
        scales_at_(a, 1, a.begin / a.group * size_),
        biases_at_(a, 2, a.begin / a.group * size_) {}

  const unsigned char (*codes() const)[kVectors][64] { return codes_; }

  template <class Chunk>
  void read(std::int64_t c, std::int64_t left, Chunk& w) {
    const std::int64_t k = c * kChunk;
    if (k % slice_ == 0) read_scales(k, left);
    for (int s = 0; s < 2; ++s) {
      for (std::int64_t line = 0; line < lines_a_chunk_; ++line, ahead_[s] += a_.pitch[s + 1]) {
        __builtin_prefetch(ahead_[s]);
      }
    }
    read_padded<kBytes>(codes_at_, kBytes * c, left * kBits / 8,
                        [&](const auto& rows, std::int64_t offset) { read_codes(rows, offset); });
    w.scales = scales_.v[k % slice_ / a_.group];
    w.biases = biases_.v[k % slice_ / a_.group];
  }

 private:
  void read_scales(std::int64_t k, std::int64_t left) {
    const std::int64_t from = k / a_.group * size_, bytes = left / a_.group * size_;
    scales_.read(scales_at_.of, from, bytes, a_.scale);
    biases_.read(biases_at_.of, from, bytes, a_.scale);
    // The next ones of these rows, or the first of those that follow.
    const std::int64_t chunks = left > slice_ ? slice_ / kChunk : (left + kChunk - 1) / kChunk;
    lines_a_chunk_ = (kLaneRows + chunks - 1) / chunks;
    const LaneTile& next = a_.next.rows > 0 ? a_.next : a_.w;
    const std::int64_t begin = a_.begin / a_.group * size_;
    for (int s = 0; s < 2; ++s) {
      ahead_[s] = left > slice_ ? a_.w.first.component[s + 1] + begin + from + 64 : next.first.component[s + 1] + begin;
    }
  }

  [[gnu::noinline]] void read_codes(const unsigned char* const (&rows)[kLaneRows], std::int64_t offset) {
    for (int vector = 0; vector < kVectors; ++vector) Codes::read(rows + vector * kLanes, offset, vector, codes_);
  }

  alignas(64) unsigned char codes_[kChunk / 4][kVectors][64];
  Scales scales_, biases_;
  const LaneProduct& a_;
  const int size_;
  const std::int64_t slice_;
  const RowPlaces codes_at_, scales_at_, biases_at_;
  const unsigned char* ahead_[2] = {};
  std::int64_t lines_a_chunk_ = 0;
};
