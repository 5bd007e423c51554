// The same for the formats in quant_tensor/formats/streams, whose scales stand beside their codes. Included after
// few_blocks.inl.h.

// ---- scales --------------------------------------------------------------------------------------------------------

using EightBytes = std::uint8_t __attribute__((vector_size(8)));
using EightBits = std::uint32_t __attribute__((vector_size(32)));

/// kMost items of kSize bytes, of which `count` are there, as the beginning of a vector; the rest is zeros. Word by
/// word: a vector that is read after a part of it was written waits for memory.
template <int kSize, int kMost, class Vector>
[[gnu::always_inline]] inline void load_first(const unsigned char* in, std::int64_t count, Vector& out) {
  constexpr int kBytes = kSize * kMost, kWhole = kBytes / 8;
  static_assert(kBytes % 8 == 0 || kBytes % 8 == 4);
  unsigned char some[kBytes];
  if (count < kMost) [[unlikely]] {
    __builtin_memset(some, 0, kBytes);
    __builtin_memcpy(some, in, static_cast<unsigned long>(kSize * count));
    in = some;
  }
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

/// The scales of a block's groups, of which the row has `count` left: for each lane that of its group.
template <class Stream>
class StreamScales {
 public:
  static std::int64_t bytes(const RowBytes& row) { return row.scale == Element::f32 ? 4 : 2; }
  [[gnu::always_inline]] void read(const RowBytes& row, std::int64_t first, std::int64_t count) {
    if (row.scale == Element::f32) {
      load_first<4, kScales>(row.component[1] + 4 * first, count, scale_);
      return;
    }
    EightWords words;
    load_first<2, kScales>(row.component[1] + 2 * first, count, words);
    if (row.scale == Element::f16) {
      widen_halves(words, scale_);
    } else {
      scale_ = __builtin_bit_cast(EightNumbers, __builtin_convertvector(words, EightBits) << 16);
    }
  }
  [[gnu::always_inline]] F at(int p) const { return of_blocks(scale_, kGroupOfLanes<Stream>, p); }
  [[gnu::always_inline]] F of_lanes(const LaneShifts& groups) const { return of_blocks(scale_, groups, 0); }

 private:
  static constexpr int kScales = kBlockWeights / Stream::kGroup;
  EightNumbers scale_;
};
/// Exponents: those of floats; the smallest is subnormal.
template <class Stream>
requires requires { Stream::kHasExponents; }
class StreamScales<Stream> {
 public:
  static std::int64_t bytes(const RowBytes&) { return 1; }
  [[gnu::always_inline]] void read(const RowBytes& row, std::int64_t first, std::int64_t count) {
    EightBytes bytes;
    load_first<1, 8>(row.component[1] + first, count, bytes);
    const EightBits bits = __builtin_convertvector(bytes, EightBits);
    scale_ = __builtin_bit_cast(EightNumbers, bits << 23 | (__builtin_bit_cast(EightBits, bits == 0) & 0x00400000u));
  }
  [[gnu::always_inline]] F at(int p) const { return of_blocks(scale_, kGroupOfLanes<Stream>, p); }
  [[gnu::always_inline]] F of_lanes(const LaneShifts& groups) const { return of_blocks(scale_, groups, 0); }

 private:
  EightNumbers scale_;
};
/// E4M3, of which few have a sign or are no number.
template <class Stream>
requires requires { Stream::kHasE4M3Scales; }
class StreamScales<Stream> {
 public:
  static std::int64_t bytes(const RowBytes&) { return 1; }
  [[gnu::always_inline]] void read(const RowBytes& row, std::int64_t first, std::int64_t count) {
    struct {
      alignas(16) unsigned char v[16];
    } bytes;
    load_first<1, 16>(row.component[1] + first, count, bytes);
    std::uint64_t halves[2];
    __builtin_memcpy(halves, &bytes, 16);
    constexpr std::uint64_t kOnes = 0x0101010101010101, kTops = kOnes << 7;
    has_odd_ = ((halves[0] | (halves[0] + kOnes) | halves[1] | (halves[1] + kOnes)) & kTops) != 0;
    all_ = broadcast(Stream::factor(row));
    scale_ = Sixteen::load(bytes.v).pick(kLaneOrder<Stream>);
    if (has_odd_) [[unlikely]] {
      for (int i = 0; i < kBlockGroups; ++i) odd_[i] = from_e4m3(bytes.v[kLaneOrder<Stream>.v[i]]);
    }
  }
  [[gnu::always_inline]] F at(int p) const {
    if (has_odd_) [[unlikely]]
      return mul(load_f32(odd_ + p * kLanes), all_);
    return mul(mul(halves_from_bit_7(scale_, p), broadcast(0x1p8f)), all_);
  }

 private:
  F all_;
  Sixteen scale_;
  bool has_odd_;
  float odd_[kBlockGroups];
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

/// Of a block of 256 weights of a row: codes, and the scale of each lane's group.
template <class Stream>
class StreamBlock {
 public:
  static constexpr int kProducts = has_names<Stream> ? 2 : 1;  ///< that make one of all weights

  /// The block that begins with weight `begin`, of which the row has `left`: the rest is zeros, which meet zeros of x.
  [[gnu::always_inline]] void read(const RowBytes& row, std::int64_t begin, std::int64_t left, std::int64_t ahead) {
    const unsigned char* in = row.component[0] + begin * Stream::kBits / 8;
    const std::int64_t group = begin / Stream::kGroup, groups_ahead = ahead * 8 / (Stream::kBits * Stream::kGroup);
    fetch<kIn>(in + ahead);
    fetch<1>(row.component[1] + (group + groups_ahead) * scales_.bytes(row));
    scales_.read(row, group, left / Stream::kGroup);
    if (left < kBlockWeights) [[unlikely]] {
      __builtin_memset(last_, 0, sizeof last_);
      __builtin_memcpy(last_, in, static_cast<unsigned long>(left * Stream::kBits / 8));
      in = last_;
    }
    if constexpr (kUnpacks) {
      Stream::codes(in, kBlockWeights, bytes_);
    } else {
      in_ = in;
    }
  }
  const unsigned char* bytes() const { return in_; }
  /// Of floats: for each lane the scale of its group in a run.
  template <int kRun>
  [[gnu::always_inline]] F scale_of_run() const {
    constexpr static LaneShifts kGroups = groups_of_run<Stream>(kRun);
    return scales_.of_lanes(kGroups);
  }
  template <int kProduct>
  [[gnu::always_inline]] void part(int p, Part& w) const {
    if constexpr (has_columns<Stream>) {
      Stream::columns(in_, p, w.codes);
    } else {
      byte_columns(bytes_, p, w.codes);
    }
    const F scale = scales_.at(p);
    if constexpr (has_names<Stream>) {
#pragma GCC unroll 4
      for (Columns& code : w.codes) code = code.numbers(kHalvesOf<Stream>.half[kProduct]);
      w.scale = mul(scale, broadcast((kProduct == 0 ? 256.f : 1.f) / Stream::kUnits));
    } else {
      // Infinite where bias_of is.
      constexpr float kAbove = kAboveCodes<Stream>;
      w.scale = mul(mul(scale, broadcast(Stream::kUnit * kAbove)), broadcast(1 / kAbove));
    }
  }

 private:
  static constexpr int kIn = kBlockWeights * Stream::kBits / 8;
  static constexpr bool kUnpacks = has_codes<Stream> && !has_columns<Stream>;

  const unsigned char* in_ = nullptr;
  StreamScales<Stream> scales_;
  unsigned char last_[kIn];
  alignas(64) std::uint8_t bytes_[kUnpacks ? kBlockWeights : 1];
};

#include "backend/cpu/units/few_floats.inl.h"

template <class Stream, class Scheme, bool kOne>
void multiply_streams(const FewRowsProduct& a) {
  for_packed_rows(
      a, [&](const RowBytes* rows, float* const* sums) __attribute__((always_inline)) {
        F y[kPackedRows] = {};
        const unsigned char* x = a.x;
        for (std::int64_t k = 0; k < a.part.count; k += kBlockWeights, x += a.x_rows * kXBytes<Scheme>) {
          StreamBlock<Stream> w[kPackedRows];
          each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
            w[r].read(rows[r], a.part.begin + k, a.part.count - k, a.part.ahead);
          });
          multiply_parts<Scheme, kOne, StreamBlock<Stream>::kProducts, Less::zero>(
              [&](auto product, auto r, int p, Part& part)
                  __attribute__((always_inline)) { w[r].template part<product>(p, part); },
              x, a.x_rows, sums, y);
        }
        for (int r = 0; kOne && r < kPackedRows; ++r) store_f32(sums[r], y[r]);
      });
}

/// Of weights that are rounded, too: activations may lose the less.
template <class Stream, class Scheme>
struct RoundedScheme : Scheme {
  static constexpr float kLostByWeights = 3e-5f;
};
template <class Stream, class Scheme>
constexpr FewRowsScheme stream_scheme_of() {
  return {kChunkWeights,
          kXBytes<Scheme>,
          kPlacesOf<Stream>.v,
          pack_row<Scheme>,
          nullptr,
          multiply_streams<Stream, Scheme, true>,
          multiply_streams<Stream, Scheme, false>};
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

template <class...>
struct Types {};
template <class Blocks, class Streams>
struct FewKernels;
template <class... Block, class... Stream>
struct FewKernels<Types<Block...>, Types<Stream...>> {
  static constexpr FewRowsKernel all[] = {block_kernel<Block>()..., stream_kernel<Stream>()...};
};
constexpr auto& kFewKernels = FewKernels<AllBlocks<Types>, AllStreams<Types>>::all;
