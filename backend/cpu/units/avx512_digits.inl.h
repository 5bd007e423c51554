// Formats that keep five digits of base three in a byte, of no more than 64 bytes: two tables of 256 bytes have four of
// them as pairs of bits, and the fifth. Included after avx512_grids.inl.h.

template <class Block>
struct DigitPlan {
  struct Digits {
    alignas(64) std::uint8_t v[256];
  };
  static constexpr Digits digits(int first, int count) {
    Digits digits{};
    for (int byte = 0; byte < 256; ++byte) {
      for (int n = 0; n < count; ++n) {
        digits.v[byte] = static_cast<std::uint8_t>(digits.v[byte] | Block::digit(byte, first + n) << 2 * n);
      }
    }
    return digits;
  }
  static constexpr int place(int t, int i) {
    return Block::place(kGroupWeights * groups_of<Block>().v[i / 4] + 4 * t + i % 4);
  }
  /// The byte of each code, among those of the first four digits and then those of the fifth.
  static constexpr Bytes64 bytes(int t) {
    Bytes64 bytes{};
    for (int i = 0; i < 64; ++i) bytes.v[i] = static_cast<std::uint8_t>(place(t, i) / 5 + place(t, i) % 5 / 4 * 64);
    return bytes;
  }
  static constexpr LaneShifts shifts(int t) {
    LaneShifts shifts{};
    for (int i = 0; i < 16; ++i) shifts.v[i] = static_cast<std::uint32_t>(place(t, 4 * i) % 5 % 4 * 2);
    return shifts;
  }
};
template <class Block>
constexpr auto kFourDigits = DigitPlan<Block>::digits(0, 4);
template <class Block>
constexpr auto kFifthDigit = DigitPlan<Block>::digits(4, 1);
template <class Block, int t>
constexpr Bytes64 kDigitBytes = DigitPlan<Block>::bytes(t);
template <class Block, int t>
constexpr LaneShifts kDigitShifts = DigitPlan<Block>::shifts(t);

template <class Block>
requires requires { Block::digit(0, 0); }
class CodeColumns<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) {
    const __m512i bytes = window<Block, 0>(in);
    four_ = find(kFourDigits<Block>.v, bytes);
    fifth_ = find(kFifthDigit<Block>.v, bytes);
  }
  [[gnu::always_inline]] void part(int, Columns (&codes)[4]) const {
    each<4>([&](auto t) __attribute__((always_inline)) {
      const __m512i from = load_bytes(kDigitBytes<Block, t>);
      const __m512i bytes = _mm512_permutex2var_epi8(four_, from, fifth_);
      codes[t] = Columns{bytes}.down(kDigitShifts<Block, t>, 0).bits(3);
    });
  }

 private:
  [[gnu::always_inline]] static __m512i find(const std::uint8_t* table, __m512i bytes) {
    const __m512i first = _mm512_permutex2var_epi8(_mm512_load_si512(table), bytes, _mm512_load_si512(table + 64));
    const __m512i last =
        _mm512_permutex2var_epi8(_mm512_load_si512(table + 128), bytes, _mm512_load_si512(table + 192));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), first, last);
  }

  __m512i four_, fifth_;
};
