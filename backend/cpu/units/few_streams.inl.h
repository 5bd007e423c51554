// The same for the formats in quant_tensor/formats/streams, whose scales stand beside their codes. Included after
// few_blocks.inl.h.

// ---- scales --------------------------------------------------------------------------------------------------------

/// kBytes of memory as the beginning of a vector; the rest is zeros. Word by word: a vector that is read after a part
/// of it was written waits for memory.
template <int kBytes, class Vector>
[[gnu::always_inline]] inline void load_first(const unsigned char* in, Vector& out) {
  constexpr int kWhole = kBytes / 8;
  static_assert(kBytes % 8 == 0 || kBytes % 8 == 4);
  std::uint64_t words __attribute__((vector_size(sizeof(Vector)))) = {};
  for (int i = 0; i < kWhole; ++i) {
    std::uint64_t word;
    __builtin_memcpy(&word, in + 8 * i, 8);
    words[i] = word;
  }
  if constexpr (kBytes % 8 != 0) {
    std::uint32_t last;
    __builtin_memcpy(&last, in + 8 * kWhole, 4);
    words[kWhole] = last;
  }
  out = __builtin_bit_cast(Vector, words);
}

/// The scales of a block's groups: for each lane that of its group.
template <class Stream, Element kScale>
class StreamScales {
 public:
  static constexpr int kBytes = kScale == Element::f32 ? 4 : 2;
  void begin(const RowBytes&) {}
  [[gnu::always_inline]] void read(const unsigned char* in) {
    if constexpr (kScale == Element::f32) {
      load_first<4 * kScales>(in, scale_);
    } else {
      EightWords words;
      load_first<2 * kScales>(in, words);
      if constexpr (kScale == Element::f16) {
        widen_halves(words, scale_);
      } else {
        widen_bfloats(words, scale_);
      }
    }
  }
  [[gnu::always_inline]] F at(int p) const { return of_blocks(scale_, kGroupOfLanes<Stream>, p); }
  [[gnu::always_inline]] F of_lanes(const LaneShifts& groups) const { return of_blocks(scale_, groups, 0); }

 private:
  static constexpr int kScales = kBlockWeights / Stream::kGroup;
  EightNumbers scale_;
};
/// Exponents: those of floats; the smallest is subnormal.
template <class Stream, Element kScale>
requires requires { Stream::kHasExponents; }
class StreamScales<Stream, kScale> {
 public:
  static constexpr int kBytes = 1;
  void begin(const RowBytes&) {}
  [[gnu::always_inline]] void read(const unsigned char* in) {
    static_assert(kBlockWeights / Stream::kGroup == 8);
    EightBits bits;
    widen_bytes(in, bits);
    scale_ = __builtin_bit_cast(EightNumbers, bits << 23 | (__builtin_bit_cast(EightBits, bits == 0) & 0x00400000u));
  }
  [[gnu::always_inline]] F at(int p) const { return of_blocks(scale_, kGroupOfLanes<Stream>, p); }
  [[gnu::always_inline]] F of_lanes(const LaneShifts& groups) const { return of_blocks(scale_, groups, 0); }

 private:
  EightNumbers scale_;
};
/// E4M3, of which few have a sign or are no number.
template <class Stream, Element kScale>
requires requires { Stream::kHasE4M3Scales; }
class StreamScales<Stream, kScale> {
 public:
  static constexpr int kBytes = 1;
  void begin(const RowBytes& row) { all_ = broadcast(Stream::factor(row)); }
  [[gnu::always_inline]] void read(const unsigned char* in) {
    std::uint64_t halves[2];
    __builtin_memcpy(halves, in, 16);
    constexpr std::uint64_t kOnes = 0x0101010101010101, kTops = kOnes << 7;
    has_odd_ = ((halves[0] | (halves[0] + kOnes) | halves[1] | (halves[1] + kOnes)) & kTops) != 0;
    scale_ = Sixteen::load(in).pick(kLaneOrder<Stream>);
    in_ = in;
  }
  [[gnu::always_inline]] F at(int p) const {
    if (has_odd_) [[unlikely]]
      return mul(odd(p), all_);
    return mul(mul(halves_from_bit_7(scale_, p), broadcast(0x1p8f)), all_);
  }

 private:
  [[gnu::noinline]] F odd(int p) const {
    float lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = from_e4m3(in_[kLaneOrder<Stream>.v[p * kLanes + i]]);
    return load_f32(lanes);
  }

  F all_;
  Sixteen scale_;
  bool has_odd_;
  const unsigned char* in_;
};

// ---- codes ---------------------------------------------------------------------------------------------------------

/// Numbers of a table as sixteen bits each, above and below zero by so many units; of two bytes each is a product.
template <class Stream>
struct Halves16 {
  Numbers half[2];  ///< the high bytes, of which 128 is zero, and the low ones
};
template <class Stream>
constexpr Halves16<Stream> halves_of() {
  Halves16<Stream> halves{};
  for (int i = 0; i < 16; ++i) {
    const float number = Stream::kTable[i % (sizeof(Stream::kTable) / sizeof(float))] * Stream::kUnits;
    const int rounded = static_cast<int>(number + 32768.5f);
    halves.half[0].v[i] = static_cast<std::uint8_t>(rounded >> 8);
    halves.half[1].v[i] = static_cast<std::uint8_t>(rounded & 255);
  }
  return halves;
}
template <class Stream>
constexpr Halves16<Stream> kHalvesOf = halves_of<Stream>();

/// The same as one byte, above and below 128 by so many units as make the worst miss, of a number by itself, least.
template <class Stream>
struct WholeBytes {
  Numbers numbers = {};
  float units = 0, miss = 1;  ///< the worst
};
template <class Stream>
constexpr WholeBytes<Stream> whole_bytes_of() {
  WholeBytes<Stream> best;
  for (float units = 96; units < 127.4f; units += 0.125f) {
    WholeBytes<Stream> some{{}, units, 0};
    for (int i = 0; i < 16; ++i) {
      const float number = Stream::kTable[i % (sizeof(Stream::kTable) / sizeof(float))];
      const int rounded = static_cast<int>(number * units + 128.5f);
      const float miss = static_cast<float>(rounded - 128) / units - number;
      some.numbers.v[i] = static_cast<std::uint8_t>(rounded);
      if (number != 0 && miss / number > some.miss) some.miss = miss / number;
      if (number != 0 && -miss / number > some.miss) some.miss = -miss / number;
    }
    if (some.miss < best.miss) best = some;
  }
  return best;
}
template <class Stream>
constexpr WholeBytes<Stream> kWholeBytesOf = whole_bytes_of<Stream>();
/// Whether that is near enough beside activations of a byte.
template <class Stream, class Scheme>
constexpr bool is_by_bytes() {
  if constexpr (has_names<Stream> && Scheme::kMost <= 127) {
    return kWholeBytesOf<Stream>.miss < 0.012f;
  } else {
    return false;
  }
}

template <class Stream>
requires requires { Stream::kUnits; }
constexpr int zero_of<Stream> = 128;

/// Floats whose products with x add up before they meet scales, see few_floats.inl.h, and which group of a block each
/// lane has in such a run.
template <class Stream>
constexpr int kFloatRun = Stream::kGroup < kFloatBytes ? kFloatBytes : Stream::kGroup;
template <class Stream>
constexpr LaneShifts groups_of_run(int run) {
  LaneShifts groups{};
  for (int i = 0; i < 16; ++i) {
    groups.v[i] = static_cast<std::uint32_t>((run * kFloatRun<Stream> + place_of_float(i % kLanes)) / Stream::kGroup);
  }
  return groups;
}

/// The last weights of a row, as a block whose rest is zeros, which meet zeros of x.
template <class Stream, Element kScale>
struct LastBlock {
  static constexpr int kScaleBytes = StreamScales<Stream, kScale>::kBytes;
  unsigned char codes[kBlockWeights * Stream::kBits / 8], scales[kBlockWeights / Stream::kGroup * kScaleBytes];

  void take(const unsigned char* of_codes, const unsigned char* of_scales, std::int64_t left) {
    __builtin_memset(this, 0, sizeof *this);
    __builtin_memcpy(codes, of_codes, static_cast<unsigned long>(left * Stream::kBits / 8));
    __builtin_memcpy(scales, of_scales, static_cast<unsigned long>(left / Stream::kGroup * kScaleBytes));
  }
};

/// Of a block of 256 weights of a row: codes, and the scale of each lane's group.
template <class Stream, Element kScale>
class StreamBlock {
 public:
  [[gnu::always_inline]] void begin(const RowBytes& row, std::int64_t first) {
    codes_ = row.component[0] + first * Stream::kBits / 8;
    scales_at_ = row.component[1] + first / Stream::kGroup * kScaleBytes;
    scales_.begin(row);
  }
  [[gnu::always_inline]] void move_to(LastBlock<Stream, kScale>& last, std::int64_t left) {
    last.take(codes_, scales_at_, left);
    codes_ = last.codes, scales_at_ = last.scales;
  }
  [[gnu::always_inline]] void read(std::int64_t ahead, std::int64_t scales_ahead) {
    fetch<kIn>(codes_ + ahead);
    fetch<1>(scales_at_ + scales_ahead);
    scales_.read(scales_at_);
    if constexpr (kUnpacks) Stream::codes(codes_, kBlockWeights, bytes_);
  }
  [[gnu::always_inline]] void pass() {
    codes_ += kIn;
    scales_at_ += kBlockWeights / Stream::kGroup * kScaleBytes;
  }
  const unsigned char* bytes() const { return codes_; }
  /// Of floats: for each lane the scale of its group in a run.
  template <int kRun>
  [[gnu::always_inline]] F scale_of_run() const {
    constexpr static LaneShifts kGroups = groups_of_run<Stream>(kRun);
    return scales_.of_lanes(kGroups);
  }
  /// Of as many products as make one of all weights.
  template <int kProducts, int kProduct>
  [[gnu::always_inline]] void part(int p, Part& w) const {
    if constexpr (has_columns<Stream>) {
      Stream::columns(codes_, p, w.codes);
    } else {
      byte_columns(bytes_, p, w.codes);
    }
    const F scale = scales_.at(p);
    if constexpr (has_names<Stream>) {
      const Numbers& numbers = kProducts == 1 ? kWholeBytesOf<Stream>.numbers : kHalvesOf<Stream>.half[kProduct];
      const float units = kProducts == 1 ? kWholeBytesOf<Stream>.units : Stream::kUnits;
#pragma GCC unroll 4
      for (Columns& code : w.codes) code = code.numbers(numbers);
      w.scale = mul(scale, broadcast((kProducts == 2 && kProduct == 0 ? 256.f : 1.f) / units));
    } else {
      // Infinite where bias_of is.
      constexpr float kAbove = kAboveCodes<Stream>;
      w.scale = mul(mul(scale, broadcast(Stream::kUnit * kAbove)), broadcast(1 / kAbove));
    }
  }

 private:
  static constexpr int kIn = kBlockWeights * Stream::kBits / 8;
  static constexpr int kScaleBytes = StreamScales<Stream, kScale>::kBytes;
  static constexpr bool kUnpacks = has_codes<Stream> && !has_columns<Stream>;

  const unsigned char *codes_, *scales_at_;
  StreamScales<Stream, kScale> scales_;
  alignas(64) std::uint8_t bytes_[kUnpacks ? kBlockWeights : 1];
};

/// Calls body(blocks) with a block of each of kPackedRows rows after the other.
template <class Stream, Element kScale, class Body>
[[gnu::always_inline]] inline void for_blocks(const RowBytes* rows, const RowPart& part, Body&& body) {
  constexpr int kGroupBits = Stream::kBits * Stream::kGroup;
  const std::int64_t scales_ahead = part.ahead * 8 / kGroupBits * StreamScales<Stream, kScale>::kBytes;
  StreamBlock<Stream, kScale> blocks[kPackedRows];
  LastBlock<Stream, kScale> last[kPackedRows];
  each<kPackedRows>([&](auto r) __attribute__((always_inline)) { blocks[r].begin(rows[r], part.begin); });
  for (std::int64_t left = part.count; left > 0; left -= kBlockWeights) {
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
      if (left < kBlockWeights) [[unlikely]]
        blocks[r].move_to(last[r], left);
      blocks[r].read(part.ahead, scales_ahead);
    });
    body(blocks);
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) { blocks[r].pass(); });
  }
}

/// A product for each type of scales, which is known to its loops: Product<Element>::run(a).
template <class Stream, template <Element> class Product>
void by_scales(const FewRowsProduct& a) {
  if constexpr (Stream::kHasOwnScales) {
    if (a.w[0].first.scale == Element::f16) return Product<Element::f16>::run(a);
    if (a.w[0].first.scale == Element::bf16) return Product<Element::bf16>::run(a);
  }
  Product<Element::f32>::run(a);
}

#include "backend/cpu/units/few_floats.inl.h"

template <class Stream, class Scheme, bool kOne>
struct StreamProduct {
  static constexpr int kProducts = has_names<Stream> && !is_by_bytes<Stream, Scheme>() ? 2 : 1;
  template <Element kScale>
  struct By {
    static void run(const FewRowsProduct& a) {
      for_packed_rows(
          a, [&](const RowBytes* rows, float* const* sums) __attribute__((always_inline)) {
            F y[kPackedRows] = {};
            const unsigned char* x = a.x;
            for_blocks<Stream, kScale>(
                rows, a.part, [&](const StreamBlock<Stream, kScale>(&w)[kPackedRows]) __attribute__((always_inline)) {
                  multiply_parts<Scheme, kOne, kProducts, Less::zero>(
                      [&](auto product, auto r, int p, Part& part)
                          __attribute__((always_inline)) { w[r].template part<kProducts, product>(p, part); },
                      x, a.x_rows, sums, y);
                  x += a.x_rows * kXBytes<Scheme>;
                });
            for (int r = 0; kOne && r < kPackedRows; ++r) store_f32(sums[r], y[r]);
          });
    }
  };
};

/// Of weights that are rounded, too: activations may lose the less.
template <class Stream, class Scheme>
struct RoundedScheme : Scheme {
  static constexpr float kLostByWeights = is_by_bytes<Stream, Scheme>() ? kWholeBytesOf<Stream>.miss : 3e-5f;
};
template <class Stream, class Scheme>
constexpr FewRowsScheme stream_scheme_of() {
  return {kChunkWeights,
          kXBytes<Scheme>,
          kPlacesOf<Stream>.v,
          pack_row<Scheme>,
          nullptr,
          by_scales<Stream, StreamProduct<Stream, Scheme, true>::template By>,
          by_scales<Stream, StreamProduct<Stream, Scheme, false>::template By>};
}
template <class Stream, class Scheme>
constexpr FewRowsScheme stream_scheme() {
  if constexpr (has_names<Stream>) {
    return stream_scheme_of<Stream, RoundedScheme<Stream, Scheme>>();
  } else {
    return stream_scheme_of<Stream, Scheme>();
  }
}
template <class Stream>
constexpr FewRowsKernel stream_kernel() {
  if constexpr (has_codes<Stream>) {
    constexpr int kBits = Stream::kCodeBits;
    return {Stream::kName, {stream_scheme<Stream, Standard<kBits>>(), stream_scheme<Stream, Fast<kBits>>()}};
  } else if constexpr (has_names<Stream>) {
    return {Stream::kName, {stream_scheme<Stream, Standard<8>>(), stream_scheme<Stream, Fast<8>>()}};
  } else {
    return {Stream::kName, {float_scheme<Stream>(), float_scheme<Stream>()}};
  }
}
