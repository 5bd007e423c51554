// Streams of codes and their scales as lanes: of 32 packed rows, words and halves of words turn. Included inside a
// unit's unnamed namespace after its floats and integers, kVectors and block_of.
//
// A Source says
//   kChunk, kBytes    weights of a packed row that are read together; bytes that they take, scales among them included
//   kOrder            which of 64 activations stands at each place, as codes come out
//   kZero             the code whose value is 0; 0: groups have biases
//   codes()           (step, vector): a step has four codes of each row
//   read(c, left, w)  reads chunk c, where a row has `left` weights more; tells w its scales and biases

/// Words of 32 rows, of which each has `bytes` more.
constexpr int kWords = 16;
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

struct RowPlaces {
  const unsigned char* of[kLaneRows];
  RowPlaces(const LaneProduct& a, int component, std::int64_t offset) {
    for (int r = 0; r < kLaneRows; ++r) {  // the last one again past the end
      of[r] = a.w.first.component[component] + (r < a.w.rows ? r : a.w.rows - 1) * a.pitch[component] + offset;
    }
  }
};

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

/// MLX triplets.
template <int kBits>
class AffineLanes {
  static constexpr int kPer = 8 / kBits;  // vectors that a word's codes come out as, by shifts

 public:
  static constexpr int kBytes = 64, kChunk = kBytes * kPer, kZero = 0;
  static constexpr Table kOrder = [] {
    Table t{};
    constexpr int kPerWord = 4 * kPer;
    for (int i = 0; i < 64; ++i) {  // of a word, first those that need no shift
      const int word = i % 32 / kPerWord, shift = i % kPerWord / 4, byte = i % 4;
      t.v[i] = static_cast<std::uint8_t>(word * kPerWord + byte * kPer + shift);
    }
    return t;
  }();

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
    read_codes(kBytes * c, left * kBits / 8);
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

  [[gnu::noinline]] void read_codes(std::int64_t offset, std::int64_t bytes) {
    for (int vector = 0; vector < kVectors; ++vector) {
      __m512i r[kWords];
      load_words(codes_at_.of + vector * kLanes, offset, bytes, r);
      transpose_words(r);
#pragma GCC unroll 16
      for (int word = 0; word < kWords; ++word) {
#pragma GCC unroll 4
        for (int shift = 0; shift < kPer; ++shift) {
          const __m512i codes = shift == 0 ? r[word] : _mm512_srli_epi16(r[word], shift * kBits);
          const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1));
          _mm512_store_si512(codes_[word * kPer + shift][vector], kBits == 8 ? codes : _mm512_and_si512(codes, mask));
        }
      }
    }
  }

  alignas(64) unsigned char codes_[kWords * kPer][kVectors][64];
  Scales scales_, biases_;
  const LaneProduct& a_;
  const int size_;
  const std::int64_t slice_;
  const RowPlaces codes_at_, scales_at_, biases_at_;
  const unsigned char* ahead_[2] = {};
  std::int64_t lines_a_chunk_ = 0;
};
