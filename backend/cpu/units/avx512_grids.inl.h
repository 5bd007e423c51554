// Rows of a grid for 64 names at once: the names' bytes look up either half of a row, 128 rows at a time, in tables
// that all names of two blocks share, and then three or eight fields of a row become bytes. Nothing goes through
// memory. Included after few_blocks.inl.h.

/// Which byte stands in each of 64 places.
using Bytes64 = Table;
/// Its own function because of commas: what tests have for intrinsics are macros.
inline __m512i load_bytes(const Bytes64& bytes) { return _mm512_load_si512(bytes.v); }

/// 64 bytes of a block, or all of a smaller one, among which those that `bits` tell of begin.
template <class Block, int kAt>
[[gnu::always_inline]] inline __m512i window(const unsigned char* block) {
  if constexpr (Block::kBytes < 64) {
    return _mm512_maskz_loadu_epi8((std::uint64_t{1} << Block::kBytes) - 1, block);
  } else {
    return _mm512_loadu_si512(block + kAt);
  }
}
template <class Block>
constexpr int window_at(int first_byte) {
  constexpr int kLast = Block::kBytes < 64 ? 0 : Block::kBytes - 64;
  return first_byte < kLast ? first_byte : kLast;
}

/// How a format's bits find their places.
template <class Block>
struct GridPlan {
  static constexpr int kRowWeights = sizeof(Block::kGrid.v[0]), kRows = sizeof(Block::kGrid.v) / kRowWeights;
  static constexpr bool kFours = kRowWeights == 4;
  static constexpr int kBlocks = kFours ? 1 : 2;  ///< that have 64 names together
  static constexpr int kNameBits = __builtin_ctz(kRows), kFieldBits = kFours ? 3 : 2;

  /// The name in each place, where the halves of its row will be interleaved.
  static constexpr int block_at(int place) { return kFours ? 0 : place % 16 / 8; }
  static constexpr int row_at(int place) {
    const int lanes = place / 16 * 4, i = place % 16;
    if (!kFours) return 2 * kInOrder.v[lanes + i % 8 / 2] + i % 2;
    return 4 * kInOrder.v[lanes + i / 4 % 2 * 2 + i % 4 / 2] + i / 8 * 2 + i % 2;
  }
  static constexpr int first_byte(int bit) {
    int first = Block::kBytes;
    for (int r = 0; r < 256 / kRowWeights; ++r) {
      first = Block::name_bit(r, bit) / 8 < first ? Block::name_bit(r, bit) / 8 : first;
    }
    return first;
  }
  static constexpr int at(int bit) { return window_at<Block>(first_byte(bit)); }
  static constexpr Bytes64 bytes_of(int bit) {
    Bytes64 bytes{};
    for (int i = 0; i < 64; ++i) {
      bytes.v[i] = static_cast<std::uint8_t>(Block::name_bit(row_at(i), bit) / 8 - at(bit) + 64 * block_at(i));
    }
    return bytes;
  }
  static constexpr Bytes64 masks_of(int bit) {
    Bytes64 masks{};
    for (int i = 0; i < 64; ++i) masks.v[i] = static_cast<std::uint8_t>(1 << Block::name_bit(row_at(i), bit) % 8);
    return masks;
  }

  /// What a half of each row is: the places of its numbers in their list, the first lowest.
  struct Half {
    alignas(64) std::uint8_t v[kRows];
  };
  static constexpr Half half(int which) {
    constexpr int kBits = kRowWeights / 2 * kFieldBits;
    Half half{};
    for (int r = 0; r < kRows; ++r) {
      half.v[r] = static_cast<std::uint8_t>(Block::kGridRows[r] >> which * kBits & ((1 << kBits) - 1));
    }
    return half;
  }
  /// Numbers by the low bits of a byte, the others being those of a neighbour.
  static constexpr Bytes64 numbers() {
    Bytes64 numbers{};
    for (int i = 0; i < 64; ++i) {
      numbers.v[i] = static_cast<std::uint8_t>(Block::kGridNumbers[i & ((1 << kFieldBits) - 1)] + kMore);
    }
    return numbers;
  }
  /// Where the fields of vector t begin: of eight bytes with halves of four names of one weight in eight, or of eight.
  static constexpr Bytes64 fields(int t) {
    Bytes64 fields{};
    for (int i = 0; i < 64; ++i) {
      const int code = i % 4, lane = i / 4 % 2;
      const int eights = 32 * lane + t % 2 * 16 + t / 2 * 8 + 2 * code;
      const int fours = 16 * lane + t % 2 * 8 + code / 2 * 32 + code % 2 * 3;
      fields.v[i] = static_cast<std::uint8_t>(kFours ? fours : eights);
    }
    return fields;
  }

  static constexpr bool kHasSigns = Block::kShiftedRows == 0;
  static constexpr int kMore = kHasSigns ? Block::kZero : 1;

  /// For eight weights each, of which a lane has four in vector t: what marks the second or the first of its two.
  static constexpr int eight_of(int lane, int second) { return 2 * kInOrder.v[lane] + second; }
  static constexpr int mark_bit(int e) {
    if constexpr (kHasSigns) {
      return Block::sign_bit(e);
    } else {
      return Block::shift_bit(e);
    }
  }
  static constexpr int kMarksAt = window_at<Block>(mark_bit(0) / 8);
  static constexpr Bytes64 marks_of(int second) {
    Bytes64 bytes{};
    for (int i = 0; i < 64; ++i) {
      bytes.v[i] = static_cast<std::uint8_t>(mark_bit(eight_of(i / 4, second)) / 8 - kMarksAt);
    }
    return bytes;
  }
  static constexpr Bytes64 shift_masks(int second) {
    Bytes64 masks{};
    for (int i = 0; i < 64; ++i) masks.v[i] = static_cast<std::uint8_t>(1 << mark_bit(eight_of(i / 4, second)) % 8);
    return masks;
  }

  /// Of seven signs in a row, the bytes of those of four times eight weights, or of each.
  static constexpr bool kOwnByte = mark_bit(1) % 8 == mark_bit(0) % 8;
  static constexpr Bytes64 sevens_of() {
    Bytes64 bytes{};
    for (int i = 0; i < 64; ++i) {
      const int e = i % 32, byte = kOwnByte ? mark_bit(e) / 8 : mark_bit(e / 4 * 4) / 8 + e % 4;
      bytes.v[i] = static_cast<std::uint8_t>(byte - kMarksAt + 64 * (i / 32));
    }
    return bytes;
  }
  static constexpr Bytes64 seven_shifts() {
    Bytes64 shifts{};
    for (int i = 0; i < 64; ++i) {
      const int e = i % 32, first = kOwnByte ? e : e / 4 * 4;
      shifts.v[i] = static_cast<std::uint8_t>(first % 8 * 8 + mark_bit(e) - mark_bit(first) / 8 * 8);
    }
    return shifts;
  }
  static constexpr Bytes64 signs_of(int block, int second) {
    Bytes64 bytes{};
    for (int i = 0; i < 64; ++i) bytes.v[i] = static_cast<std::uint8_t>(32 * block + eight_of(i / 4, second));
    return bytes;
  }
};

template <class Block, int kBit>
constexpr Bytes64 kBytesOfNames = GridPlan<Block>::bytes_of(kBit);
template <class Block, int kBit>
constexpr Bytes64 kMasksOfNames = GridPlan<Block>::masks_of(kBit);
template <class Block, int kWhich>
constexpr auto kHalfRows = GridPlan<Block>::half(kWhich);
template <class Block, int t>
constexpr Bytes64 kFields = GridPlan<Block>::fields(t);
template <class Block>
constexpr Bytes64 kGridBytes = GridPlan<Block>::numbers();
template <class Block, int kSecond>
constexpr Bytes64 kMarks = GridPlan<Block>::marks_of(kSecond);
template <class Block, int kSecond>
constexpr Bytes64 kShiftMasks = GridPlan<Block>::shift_masks(kSecond);
template <class Block>
constexpr Bytes64 kSevens = GridPlan<Block>::sevens_of();
template <class Block>
constexpr Bytes64 kSevenShifts = GridPlan<Block>::seven_shifts();
template <class Block, int kOf, int kSecond>
constexpr Bytes64 kSignBytes = GridPlan<Block>::signs_of(kOf, kSecond);

struct EvenSigns {
  alignas(64) std::uint8_t v[128];
};
constexpr EvenSigns even_signs() {
  EvenSigns signs{};
  for (int i = 0; i < 128; ++i)
    signs.v[i] = static_cast<std::uint8_t>(i | __builtin_parity(static_cast<unsigned>(i)) << 7);
  return signs;
}
constexpr EvenSigns kEightSigns = even_signs();

/// Bytes of one block, or of two.
template <class Block, int kAt, int kBlocks>
[[gnu::always_inline]] inline __m512i pick_bytes([[maybe_unused]] const unsigned char* const* in,
                                                 const Bytes64& places) {
  const __m512i from = load_bytes(places), first = window<Block, kAt>(in[0]);
  if constexpr (kBlocks == 1) {
    return _mm512_permutexvar_epi8(from, first);
  } else {
    const __m512i second = window<Block, kAt>(in[1]);
    return _mm512_permutex2var_epi8(first, from, second);
  }
}

/// Names of 64 rows: seven bits of each, and the others.
template <class Block>
struct Names {
  using Plan = GridPlan<Block>;
  static constexpr int kMasks = Plan::kNameBits - 7;
  __m512i low;
  __mmask64 bit[kMasks];

  [[gnu::always_inline]] explicit Names(const unsigned char* const* in) {
    low = pick_bytes<Block, Plan::at(0), Plan::kBlocks>(in, kBytesOfNames<Block, 0>);
    bit[0] = _mm512_movepi8_mask(low);
    each<kMasks - 1>([&](auto i) __attribute__((always_inline)) {
      constexpr int kBit = 8 + i;
      const __m512i bytes = pick_bytes<Block, Plan::at(kBit), Plan::kBlocks>(in, kBytesOfNames<Block, kBit>);
      bit[1 + i] = _mm512_test_epi8_mask(bytes, load_bytes(kMasksOfNames<Block, kBit>));
    });
  }
  /// What a table has for them.
  template <int kCount = Plan::kRows>
  [[gnu::always_inline]] __m512i find(const std::uint8_t* table) const {
    if constexpr (kCount == 128) {
      return _mm512_permutex2var_epi8(_mm512_load_si512(table), low, _mm512_load_si512(table + 64));
    } else {
      constexpr int kHalf = kCount / 2;
      const __m512i first = find<kHalf>(table), second = find<kHalf>(table + kHalf);
      return _mm512_mask_blend_epi8(bit[__builtin_ctz(kHalf) - 7], first, second);
    }
  }
};

/// The rows that 64 names stand for, as fields.
template <class Block>
[[gnu::always_inline]] inline void find_rows(const unsigned char* const* in, __m512i (&rows)[2]) {
  const Names<Block> names(in);
  const __m512i first = names.find(kHalfRows<Block, 0>.v), second = names.find(kHalfRows<Block, 1>.v);
  if constexpr (GridPlan<Block>::kFours) {
    rows[0] = _mm512_unpacklo_epi32(first, second);
    rows[1] = _mm512_unpackhi_epi32(first, second);
  } else {
    rows[0] = _mm512_unpacklo_epi16(first, second);
    rows[1] = _mm512_unpackhi_epi16(first, second);
  }
}

/// Codes of a block of each row.
template <class Block>
requires requires { Block::kGrid; }
class BlockColumns<Block> {
  using Plan = GridPlan<Block>;

 public:
  [[gnu::always_inline]] void read(const unsigned char* const (&in)[kPackedRows]) {
    static_assert(kPackedRows == 2);
    if constexpr (Plan::kFours) {
      __m512i rows[2][2];
      find_rows<Block>(in, rows[0]);
      find_rows<Block>(in + 1, rows[1]);
      each<8>([&](auto i)
                  __attribute__((always_inline)) { codes_[i / 4][i % 4] = numbers<i % 4>(rows[i / 4][i % 4 / 2]); });
    } else {
      __m512i rows[2];
      find_rows<Block>(in, rows);
      each<8>([&](auto i) __attribute__((always_inline)) { codes_[i / 4][i % 4] = numbers<i % 4>(rows[i / 4]); });
    }
    __m512i signs{};
    if constexpr (Block::kEvenSigns) signs = signs_of_two(in);
    each<2>([&](auto r) __attribute__((always_inline)) {
      each<2>([&](auto second) __attribute__((always_inline)) {
        __m512i marks;
        if constexpr (Block::kEvenSigns) {
          marks = _mm512_permutexvar_epi8(load_bytes(kSignBytes<Block, r, second>), signs);
        } else {
          marks = pick_bytes<Block, Plan::kMarksAt, 1>(in + r, kMarks<Block, second>);
        }
        mark<second>(marks, codes_[r]);
      });
    });
  }
  [[gnu::always_inline]] void part(int r, int, Columns (&codes)[4]) const {
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) codes[t].v = codes_[r][t];
  }

 private:
  template <int t>
  [[gnu::always_inline]] static __m512i numbers(__m512i rows) {
    const __m512i fields = _mm512_multishift_epi64_epi8(load_bytes(kFields<Block, t>), rows);
    return _mm512_permutexvar_epi8(fields, load_bytes(kGridBytes<Block>));
  }
  [[gnu::always_inline]] static __m512i signs_of_two(const unsigned char* const* in) {
    const __m512i bytes = pick_bytes<Block, Plan::kMarksAt, 2>(in, kSevens<Block>);
    const __m512i sevens = _mm512_multishift_epi64_epi8(load_bytes(kSevenShifts<Block>), bytes);
    return _mm512_permutex2var_epi8(_mm512_load_si512(kEightSigns.v), sevens, _mm512_load_si512(kEightSigns.v + 64));
  }
  /// Negative numbers become zero less them; of shifts an eighth less, where an eighth was added.
  template <int kSecond>
  [[gnu::always_inline]] static void mark(__m512i marks, __m512i (&codes)[4]) {
    if constexpr (Plan::kHasSigns) {
      const __m512i two_zeros = _mm512_set1_epi8(static_cast<char>(2 * Block::kZero));
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const __mmask64 negative = _mm512_test_epi8_mask(
            marks, _mm512_set1_epi32(static_cast<std::int32_t>(half == 0 ? 0x08040201u : 0x80402010u)));
        __m512i& code = codes[2 * kSecond + half];
        code = _mm512_mask_sub_epi8(code, negative, two_zeros, code);
      }
    } else {
      const __mmask64 less = _mm512_test_epi8_mask(marks, load_bytes(kShiftMasks<Block, kSecond>));
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        __m512i& code = codes[2 * kSecond + half];
        code = _mm512_mask_sub_epi8(code, less, code, _mm512_set1_epi8(2));
      }
    }
  }

  __m512i codes_[kPackedRows][4];
};
