// How the bytes of 256 weights become vectors of codes, where a format says so itself: written once for vectors of any
// length. Weights stand in four columns, of which a vector type V holds one, two or four; a column is four words of 32
// bits, one for each of four groups of 16 weights, and vector t of four has codes 4t … 4t + 3 of each group. A format
// then has
//   kOrder                    where codes of a group do not stand in their order: the weight of each
//   kLaneGroups               which group is word `lane` % 4 of column `lane` / 4
//   columns(block, p, codes)  vectors of the columns that are part p of all; block: as many blocks as have 256 weights
// and V
//   V::load(in, half, p)      16 bytes for each column: at `in` and in + 16, and both again `half` bytes further on
//   V::load(in, next, half, p)  the same with the second `next` bytes behind the first
//   V::words24(in, places, p) for each lane one of 24 words of memory; not where that takes longer than loads
//   V::low_bytes(a, b)        byte 0 of a, of b, … byte 7 of a, of b; high_bytes: bytes 8 to 15
//   V::low_words(a, b)        word 0 of a, of b, word 1 of a, of b; high_words: words 2 and 3
//   V::low_pairs(a, b)        words 0 and 1 of a, then of b; high_pairs: words 2 and 3
//   V::even_words(a, b)       words 0 and 2 of a, then of b; odd_words: words 1 and 3
//   spread(out)               out[t]: word t in all places of its column
//   doubled(even, odd)        words 0, 0, 2, 2 and words 1, 1, 3, 3
//   up<n>, down<n>            each word shifted by n bits
//   down(shifts, p)           each word shifted by what is said for its lane
//   bits(mask)                those bits of each byte
//   with(a, mask)             and those of a
//   numbers(table)            for each byte, which is below 16, what the table has
//   pick(places, p)           for each byte, the one of its column that is told
//   flipped()                 each byte with its top bit the other way
//   around(zero, signs)       zero more or, where the sign of a byte among eight is set, less each byte
//   V::rows(eight, r, p)      words of eight bytes: eight(r) and eight(r + 1) for the first column, eight(r + 2) and
//                             eight(r + 3) for the second, the same from r + 16 on for the others
// Where scales are integers times an f16, or times what unit(block) gives, it may have
//   kUnitAt[, kUnitFactor]    where that is, and how often it counts; behind it the one of minima, where groups have
//   biases lane_scales(block, order, scale[, minimum])  bytes with a sign, `order` telling the group of each lane's
// of a type S of sixteen bytes, which has load(p), words(p, step), pick(places), up and down, bits (of a mask or a mask
// for each byte), with(a), unless(n) and less(n). Blocks of 32 weights have
//   block_scales(first, widen, scale)  of eight blocks, by the two bytes that each begins with; widen: f16 to fp32
// Loops are unrolled by demand: gcc keeps in memory what a loop has by number.
#pragma once

/// A small number for each lane of 256 weights.
struct LaneGroups {
  std::uint8_t v[16];
};
struct LaneShifts {
  alignas(64) std::uint32_t v[16];
};

using EightWords = std::uint16_t __attribute__((vector_size(16)));
using EightNumbers = float __attribute__((vector_size(32)));
using EightBits = std::uint32_t __attribute__((vector_size(32)));

/// The top bytes of four words, for the lanes of either half of weights that stand in order.
constexpr LaneGroups kFirstFour = {{3, 7, 11, 15, 3, 7, 11, 15, 255, 255, 255, 255, 255, 255, 255, 255}};
constexpr LaneGroups kLastFour = {{255, 255, 255, 255, 255, 255, 255, 255, 3, 7, 11, 15, 3, 7, 11, 15}};
constexpr LaneShifts kHalvesInTurn = {{0, 4, 0, 4}};

/// A group after the other.
constexpr LaneGroups kAllInOrder = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
/// 32 weights after the other, of which the first 16 are in one column and the others in the next.
constexpr LaneGroups kInOrder = {{0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15}};
/// The same of those that `nibble_columns` makes of 32 bytes of low and high halves.
constexpr LaneGroups kHalvesBy32 = {{0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15}};
/// … and of 16 bytes.
constexpr LaneGroups kHalvesBy16 = {{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15}};

constexpr LaneShifts kPairsOfBits = {{0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6}};
constexpr LaneShifts kSecondHalf = {{0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4}};

/// Vectors that each have a group in a column become those of codes.
template <class V>
inline void transpose_groups(const V (&rows)[4], V (&codes)[4]) {
  const V low[2] = {V::low_words(rows[0], rows[1]), V::low_words(rows[2], rows[3])};
  const V high[2] = {V::high_words(rows[0], rows[1]), V::high_words(rows[2], rows[3])};
  codes[0] = V::low_pairs(low[0], low[1]);
  codes[1] = V::high_pairs(low[0], low[1]);
  codes[2] = V::low_pairs(high[0], high[1]);
  codes[3] = V::high_pairs(high[0], high[1]);
}
/// Codes that stand one a byte, in order.
template <class V>
inline void byte_columns(const std::uint8_t* bytes, int p, V (&codes)[4]) {
  V rows[4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) rows[s] = V::load(bytes + 32 * s, 128, p);
  transpose_groups(rows, codes);
}

/// Bytes with a sign, in order, as codes 128 above them; of each 64 a column has 16.
constexpr LaneGroups kByColumns = {{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}};
template <class V>
inline void signed_columns(const unsigned char* bytes, int p, V (&codes)[4]) {
  V rows[4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) rows[s] = V::load(bytes + 64 * s, 16, 32, p).flipped();
  transpose_groups(rows, codes);
}

struct LaneBytes {
  alignas(64) std::uint8_t v[64];
};
/// Of 16 bytes, one for each eight weights of a half, the one that each weight has among those of word s.
constexpr LaneBytes bytes_of_weights(int s) {
  LaneBytes places{};
  for (int i = 0; i < 64; ++i) places.v[i] = static_cast<std::uint8_t>(4 * s + i / 16 % 2 * 2 + i / 8 % 2);
  return places;
}
constexpr LaneBytes kBytesOfWeights[4] = {bytes_of_weights(0), bytes_of_weights(1), bytes_of_weights(2),
                                          bytes_of_weights(3)};

/// One more than twice the four bits on top of eight words, four and four.
template <class S>
inline S odd_tops(S first, S last) {
  return first.pick(kFirstFour).with(last.pick(kLastFour)).template down<4>().bits(15).template up<1>().less(-1);
}
/// The same of 16 halves of the last eight bytes.
template <class S>
inline S odd_halves(S bytes) {
  constexpr static LaneGroups kBytes = {{8, 9, 10, 11, 8, 9, 10, 11, 12, 13, 14, 15, 12, 13, 14, 15}};
  return bytes.pick(kBytes).down(kHalvesInTurn).bits(15).template up<1>().less(-1);
}

/// Of formats that name rows of a grid, see grid_codes.
template <class Block, class V>
[[gnu::always_inline]] inline void grid_columns(const unsigned char* block, int p, V (&codes)[4]) {
  V rows[4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) rows[s] = V::rows([&](int r) { return Block::row(block, r); }, 4 * s, p);
  alignas(32) std::uint8_t signs[32];
  if constexpr (requires { Block::signs(block, signs); }) {
    Block::signs(block, signs);
    const V all = V::load(signs, 0, 16, p);
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) rows[s] = rows[s].around(Block::kZero, all.pick(kBytesOfWeights[s], p));
  }
  transpose_groups(rows, codes);
}

/// 256 codes of two bits, as pairs_of_bits has them.
template <class V>
inline void pair_columns(const unsigned char* q, int p, V (&codes)[4]) {
  V::load(q, 32, p).spread(codes);
#pragma GCC unroll 4
  for (V& code : codes) code = code.down(kPairsOfBits, p).bits(3);
}

/// The low halves of the bytes of a and of b, then their high halves.
template <class V>
inline void nibble_columns(V a, V b, V (&codes)[4]) {
  const V low = V::low_words(a, b), high = V::high_words(a, b);
  const V low_halves = low.template down<4>(), high_halves = high.template down<4>();
  codes[0] = V::low_pairs(low, low_halves).bits(15);
  codes[1] = V::high_pairs(low, low_halves).bits(15);
  codes[2] = V::low_pairs(high, high_halves).bits(15);
  codes[3] = V::high_pairs(high, high_halves).bits(15);
}

/// 256 weights of two in a byte, a group of 16 after the other: of each first the low halves, then the high ones. Words
/// of one column are followed by those of another 64 bytes on.
constexpr LaneGroups kPairsOfWords = {{0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15}};
template <class V>
inline void halves_of_columns(const unsigned char* in, int p, V (&codes)[4]) {
  const V a = V::load(in, 32, p), b = V::load(in + 64, 32, p);
  const V even = V::even_words(a, b), odd = V::odd_words(a, b);
  codes[0] = even.bits(15);
  codes[1] = odd.bits(15);
  codes[2] = even.template down<4>().bits(15);
  codes[3] = odd.template down<4>().bits(15);
}

/// One more bit for each code: bit s of byte i that of weight 32s + i, brought to bit kTo; `places` tells which s of a
/// half each lane has.
template <int kTo, class V>
inline void add_bit(const unsigned char* bits, const LaneShifts& places, int p, V (&codes)[4]) {
  V words[4];
  V::load(bits, 0, p).down(kSecondHalf, p).template up<kTo>().spread(words);
#pragma GCC unroll 4
  for (int t = 0; t < 4; ++t) codes[t] = codes[t].with(words[t].down(places, p), 1 << kTo);
}

/// What a table has for codes, plus kZero.
struct Numbers {
  alignas(16) std::uint8_t v[16];
};
constexpr Numbers numbers_of(const std::int8_t (&table)[16], int zero) {
  Numbers numbers{};
  for (int i = 0; i < 16; ++i) numbers.v[i] = static_cast<std::uint8_t>(table[i] + zero);
  return numbers;
}
template <class Block>
constexpr Numbers kNumbersOf = numbers_of(Block::kTable, Block::kZero);
/// The codes of a block that says its weights' names in that table.
template <class Block>
inline void codes_of_names(const unsigned char* block, std::uint8_t* codes) {
  Block::names(block, codes);
  for (int i = 0; i < Block::kWeights; ++i) codes[i] = kNumbersOf<Block>.v[codes[i]];
}
/// The same of 16 bytes whose low halves are the first weights.
template <class Block, class V>
inline void table_columns(V a, V b, V (&codes)[4]) {
  nibble_columns(a, b, codes);
#pragma GCC unroll 4
  for (V& code : codes) code = code.numbers(kNumbersOf<Block>);
}
