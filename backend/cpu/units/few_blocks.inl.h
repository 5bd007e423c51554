// A microkernel for few rows of x against rows of the formats in quant_tensor/formats/blocks. A block of 256 weights
// has four columns of 64, and a column four groups of 16, one for each lane of 32 bits: of the group, vector t of codes
// holds codes 4t … 4t + 3. Four dot products with x, laid out alike, leave the sums of 16 groups in as many lanes, so
// that scales of 16 weights cost what scales of 32 or of 256 do. A unit takes as many columns at once as its vectors
// have lanes for, a part of the block. Included inside a unit's unnamed namespace after its floats and max_magnitude,
// kPackedRows at once, and
//   Columns, Sixteen  vectors of bytes, see quant_tensor/formats/blocks/columns.inl.h
//   signed_of, halves_from_bit_7, of_groups, of_blocks  numbers of a part's lanes, of bytes or floats
//   widen_halves, widen_bfloats  f16 or bf16 to fp32; widen_bytes: eight bytes to words
//   Standard<bits>, Fast<bits>   schemes for codes of so many bits, each of
//     kMost, kBytes     the largest rounded activation; bytes of x that meet one part
//     round             a group of activations into its lane of a part; returns their sum
//     Activations, load; Sum, add<t>, total   of a part of x; integer sums; how vector t joins them; a group's in each
//                                             lane
//   numbers_of_sums   such totals, plus integers in memory where these are given

#include "backend/cpu/units/integer_range.inl.h"
#include "backend/cpu/units/packed_rows.inl.h"
#include "backend/cpu/units/rounding.inl.h"
#include "quant_tensor/formats/blocks/all.inl.h"

inline float own_scale(const RowBytes& row, int component, std::int64_t i) {
  const unsigned char* p = row.component[component] + i * (row.scale == Element::f32 ? 4 : 2);
  if (row.scale == Element::f16) return half_to_float(half_bits(p));
  return __builtin_bit_cast(float, row.scale == Element::f32 ? word_bits(p) : std::uint32_t{half_bits(p)} << 16);
}
#include "quant_tensor/formats/streams/all.inl.h"

constexpr int kBlockWeights = 256, kGroupWeights = 16, kBlockGroups = kBlockWeights / kGroupWeights;
constexpr int kParts = kBlockGroups / kLanes;

// ---- x -------------------------------------------------------------------------------------------------------------

/// Of a block of a packed row of x: the rounded activations part by part, then the units of all groups and their sums:
/// floats, or integers that centre codes, see Places.
template <class Scheme>
constexpr int kUnits = kParts* Scheme::kBytes;
template <class Scheme>
constexpr int kXBytes = kUnits<Scheme> + 8 * kBlockGroups;

constexpr int kChunkWeights = kBlockWeights, kRoundedWeights = kGroupWeights;

/// Where a block's groups and their weights go, and what its codes are centred around, as bytes.
enum Places { kLaneOfGroup, kWeightOfPlace = kBlockGroups, kZeroOfCodes = kWeightOfPlace + kGroupWeights, kPlaces };

/// Group `g` of a block. The sum is that of the rounded activations, exact: with the original ones their rounding would
/// meet uncentred codes.
template <class Scheme>
bool pack_block(const float* in, const std::uint8_t* places, int g, unsigned char* block, Rounding& rounding) {
  float x[kGroupWeights];
  numbers_of_names(in, places + kWeightOfPlace, x);
  const std::uint32_t bits = max_magnitude(x, kGroupWeights);
  const float most = __builtin_bit_cast(float, bits);
  if (!has_integers(bits)) return false;
  const int lane = places[kLaneOfGroup + g], zero = places[kZeroOfCodes];
  const float unit = most / Scheme::kMost, inverse = bits == 0 ? 0.f : Scheme::kMost / most;
  const std::int32_t total = Scheme::round(x, inverse, lane % kLanes, block + lane / kLanes * Scheme::kBytes);
  const float sum = unit * static_cast<float>(total);
  const std::int32_t centring = -zero * total;
  rounding.add(x, kGroupWeights, inverse, unit);
  __builtin_memcpy(block + kUnits<Scheme> + 4 * lane, &unit, 4);
  __builtin_memcpy(block + kUnits<Scheme> + 4 * (kBlockGroups + lane),
                   zero == 0 ? static_cast<const void*>(&sum) : &centring, 4);
  return true;
}

#include "backend/cpu/units/pack_row.inl.h"

// ---- w -------------------------------------------------------------------------------------------------------------

template <class Block>
constexpr int kTogether = kBlockWeights / Block::kWeights;  // of a format's blocks
template <class Block>
constexpr int kBytes = kTogether<Block>* Block::kBytes;

/// Whether a format says itself how its bytes become columns.
template <class Block>
constexpr bool has_columns = requires {
  Block::kLaneGroups;
};
/// What codes are less to be centred; 0 where groups have a bias.
template <class Block>
constexpr int zero_of = Block::kZero;
template <class Block>
constexpr LaneGroups groups_of() {
  if constexpr (has_columns<Block>) {
    return Block::kLaneGroups;
  } else {
    return kInOrder;
  }
}
struct PlacesOf {
  std::uint8_t v[kPlaces];
};
template <class Block>
constexpr PlacesOf places_of() {
  PlacesOf places{};
  for (int i = 0; i < kBlockGroups; ++i) places.v[groups_of<Block>().v[i]] = static_cast<std::uint8_t>(i);
  for (int i = 0; i < kGroupWeights; ++i) {
    if constexpr (requires { Block::kOrder; }) {
      places.v[kWeightOfPlace + i] = Block::kOrder.v[i];
    } else {
      places.v[kWeightOfPlace + i] = static_cast<std::uint8_t>(i);
    }
  }
  places.v[kZeroOfCodes] = static_cast<std::uint8_t>(zero_of<Block>);
  return places;
}
template <class Block>
constexpr PlacesOf kPlacesOf = places_of<Block>();

/// Codes of a block.
template <class Block>
class CodeColumns {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) {
    for (int i = 0; i < kTogether<Block>; ++i) Block::codes(in + i * Block::kBytes, bytes_ + i * Block::kWeights);
  }
  [[gnu::always_inline]] void part(int p, Columns (&codes)[4]) const { byte_columns(bytes_, p, codes); }

 private:
  alignas(64) std::uint8_t bytes_[kBlockWeights];
};
template <class Block>
requires has_columns<Block>
class CodeColumns<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) { in_ = in; }
  [[gnu::always_inline]] void part(int p, Columns (&codes)[4]) const { Block::columns(in_, p, codes); }

 private:
  const unsigned char* in_;
};

/// Which of a block's groups each lane has a part of.
template <class Block>
constexpr LaneShifts group_of_lanes() {
  LaneShifts order{};
  for (int i = 0; i < kBlockGroups; ++i) {
    order.v[i] = static_cast<std::uint32_t>(groups_of<Block>().v[i] * kGroupWeights / Block::kGroup);
  }
  return order;
}
template <class Block>
constexpr LaneShifts kGroupOfLanes = group_of_lanes<Block>();
template <class Block>
constexpr LaneGroups lane_order() {
  LaneGroups order{};
  for (int i = 0; i < kBlockGroups; ++i) order.v[i] = static_cast<std::uint8_t>(kGroupOfLanes<Block>.v[i]);
  return order;
}
template <class Block>
constexpr LaneGroups kLaneOrder = lane_order<Block>();

template <class Block>
requires requires { Block::kGrid; }
class CodeColumns<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) { in_ = in; }
  [[gnu::always_inline]] void part(int p, Columns (&codes)[4]) const { grid_columns<Block>(in_, p, codes); }

 private:
  const unsigned char* in_;
};

/// Codes of a block of each row; a unit may have something better for some formats, which sees all rows at once.
template <class Block>
class BlockColumns {
 public:
  [[gnu::always_inline]] void read(const unsigned char* const (&in)[kPackedRows]) {
    each<kPackedRows>([&](auto r) __attribute__((always_inline)) { rows_[r].read(in[r]); });
  }
  [[gnu::always_inline]] void part(int r, int p, Columns (&codes)[4]) const { rows_[r].part(p, codes); }

 private:
  CodeColumns<Block> rows_[kPackedRows];
};

/// The scale of the group of each lane, and its bias where it has one.
template <class Block>
class LaneScales {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) {
    constexpr int kGroups = Block::kWeights / Block::kGroup;
    for (int i = 0; i < kTogether<Block>; ++i) {
      scales_and_biases<Block>(in + i * Block::kBytes, scale_ + i * kGroups, bias_ + i * kGroups);
    }
  }
  [[gnu::always_inline]] F scale(int p) const { return of_groups(scale_, kCount, kGroupOfLanes<Block>, p); }
  [[gnu::always_inline]] F bias(int p) const { return of_groups(bias_, kCount, kGroupOfLanes<Block>, p); }

 private:
  static constexpr int kCount = kBlockWeights / Block::kGroup;
  float scale_[kBlockGroups], bias_[kBlockGroups];
};
/// Of blocks that have one scale.
template <class Block>
requires(Block::kGroup == kBlockWeights) class LaneScales<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) {
    float scale, bias;
    scales_and_biases<Block>(in, &scale, &bias);
    scale_ = broadcast(scale), bias_ = broadcast(bias);
  }
  [[gnu::always_inline]] F scale(int) const { return scale_; }
  [[gnu::always_inline]] F bias(int) const { return bias_; }

 private:
  F scale_, bias_;
};
/// Of blocks of 32 weights, by the two bytes that each begins with.
template <class Block>
requires(Block::kWeights == 32) class LaneScales<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) {
    EightWords first;
    for (int i = 0; i < 8; ++i) first[i] = half_bits(in + i * Block::kBytes);
    Block::block_scales(first, widen_halves, scale_);
  }
  [[gnu::always_inline]] F scale(int p) const { return of_blocks(scale_, kGroupOfLanes<Block>, p); }

 private:
  EightNumbers scale_;
};
/// Of formats whose scales are bytes that, as the bits of an f16 from bit 7 on, are some unit too small. Of fp32 the
/// smallest would be subnormal, for which arithmetic takes many cycles; to widen those of f16 takes none.
template <class Block>
requires requires { Block::kHalfUnit; }
class LaneScales<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) { Block::lane_scales(in, scale_); }
  [[gnu::always_inline]] F scale(int p) const { return mul(halves_from_bit_7(scale_, p), broadcast(Block::kHalfUnit)); }

 private:
  Sixteen scale_;
};
/// Of formats whose scales are integers times an f16, or a fraction of it, or times a number made up otherwise.
template <class Block>
constexpr float unit_factor() {
  if constexpr (requires { Block::kUnitFactor; }) {
    return Block::kUnitFactor;
  } else {
    return 1;
  }
}
template <class Block>
concept HasUnit = requires(const unsigned char* in) {
  Block::unit(in);
};
template <class Block>
concept HasUnitAt = requires {
  Block::kUnitAt;
};
template <class Block>
requires(HasUnit<Block> || HasUnitAt<Block>) class LaneScales<Block> {
 public:
  [[gnu::always_inline]] void read(const unsigned char* in) {
    if constexpr (HasUnit<Block>) {
      unit_ = broadcast(Block::unit(in));
    } else {
      unit_ = broadcast(half_to_float(half_bits(in + Block::kUnitAt)) * unit_factor<Block>());
    }
    if constexpr (Block::kZero == 0) {
      minimum_unit_ = broadcast(-half_to_float(half_bits(in + Block::kUnitAt + 2)));
      Block::lane_scales(in, kLaneOrder<Block>, scale_, minimum_);
    } else {
      Block::lane_scales(in, kLaneOrder<Block>, scale_);
    }
  }
  [[gnu::always_inline]] F scale(int p) const { return mul(unit_, signed_of(scale_, p)); }
  [[gnu::always_inline]] F bias(int p) const { return mul(minimum_unit_, signed_of(minimum_, p)); }

 private:
  F unit_, minimum_unit_;
  Sixteen scale_, minimum_;
};

// ---- the product ---------------------------------------------------------------------------------------------------

/// A part of a block.
struct Part {
  Columns codes[4];
  F scale, bias;  ///< of the lane's group
};
/// What besides codes makes weights of a part, scale · (code − zero) or scale · code + bias.
enum class Less : std::uint8_t { zero, bias, nothing };

/// y += x · w of a part, for one row of x. Codes are centred as integers: weights that are zero add up to nothing.
template <class Scheme, Less kLess>
[[gnu::always_inline]] inline void add_part(const Part (&w)[kPackedRows], const unsigned char* x, int p,
                                            F (&y)[kPackedRows]) {
  typename Scheme::Sum sums[kPackedRows] = {};
  each<4>([&](auto t) __attribute__((always_inline)) {
    const auto xs = Scheme::template load<t>(x + p * Scheme::kBytes);
    each<kPackedRows>([&](auto r)
                          __attribute__((always_inline)) { Scheme::template add<t>(sums[r], w[r].codes[t], xs); });
  });
  const unsigned char* units = x + kUnits<Scheme> + 4 * kLanes * p;
  const unsigned char* x_sums = units + 4 * kBlockGroups;
  const F unit = load_f32(units);
  each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
    const auto total = Scheme::total(sums[r]);
    const F scale = mul(w[r].scale, unit);
    if constexpr (kLess == Less::zero) {
      y[r] = fma(scale, numbers_of_sums(total, x_sums), y[r]);
    } else {
      y[r] = fma(scale, numbers_of_sums(total), y[r]);
    }
    if constexpr (kLess == Less::bias) y[r] = fma(w[r].bias, load_f32(x_sums), y[r]);
  });
}

/// A block of each row, part by part, each as some products, the first of which is less kLess: y += x · w, or the sums
/// in memory. take(product, r, p, part) gets those of row r.
template <class Scheme, bool kOne, int kProducts, Less kLess, class Take>
[[gnu::always_inline]] inline void multiply_parts(Take&& take, const unsigned char* x, std::int64_t x_rows,
                                                  float* const* sums, F (&y)[kPackedRows]) {
  for (int p = 0; p < kParts; ++p) {
    each<kProducts>([&](auto product) __attribute__((always_inline)) {
      constexpr Less kHere = product == 0 ? kLess : Less::nothing;
      Part w[kPackedRows];
      each<kPackedRows>([&](auto r) __attribute__((always_inline)) { take(product, r, p, w[r]); });
      if constexpr (kOne) {
        add_part<Scheme, kHere>(w, x, p, y);
      } else {
        for (std::int64_t m = 0; m < x_rows; ++m) {
          F some[kPackedRows];
          each<kPackedRows>([&](auto r) __attribute__((always_inline)) { some[r] = load_f32(sums[r] + m * kLanes); });
          add_part<Scheme, kHere>(w, x + m * kXBytes<Scheme>, p, some);
          each<kPackedRows>([&](auto r) __attribute__((always_inline)) { store_f32(sums[r] + m * kLanes, some[r]); });
        }
      }
    });
  }
}

template <class Block, class Scheme, bool kOne>
[[gnu::always_inline]] inline void multiply_block(const unsigned char* const (&in)[kPackedRows], const unsigned char* x,
                                                  std::int64_t x_rows, float* const* sums, F (&y)[kPackedRows]) {
  BlockColumns<Block> codes;
  LaneScales<Block> scales[kPackedRows];
  codes.read(in);
  each<kPackedRows>([&](auto r) __attribute__((always_inline)) { scales[r].read(in[r]); });
  constexpr Less kLess = zero_of<Block> == 0 ? Less::bias : Less::zero;
  const auto take = [&](auto, auto r, int p, Part& part) __attribute__((always_inline)) {
    codes.part(r, p, part.codes);
    part.scale = scales[r].scale(p);
    if constexpr (kLess == Less::bias) part.bias = scales[r].bias(p);
  };
  multiply_parts<Scheme, kOne, 1, kLess>(take, x, x_rows, sums, y);
}

/// Packed rows block by block: of one row of x registers keep the sums; those of several come from the first cache and
/// return there, while registers hold a part of w.
template <class Block, class Scheme, bool kOne>
void multiply_blocks(const FewRowsProduct& a) {
  constexpr int kIn = kBytes<Block>, kX = kXBytes<Scheme>;
  const std::int64_t begin = a.part.begin / Block::kWeights * Block::kBytes;
  const std::int64_t bytes = a.part.count / Block::kWeights * Block::kBytes;
  for_packed_rows(
      a, [&](const RowBytes* rows, float* const* sums) __attribute__((always_inline)) {
        F y[kPackedRows] = {};
        const unsigned char* x = a.x;
        for (std::int64_t at = 0; at < bytes; at += kIn, x += a.x_rows * kX) {
          const unsigned char* in[kPackedRows];
          unsigned char room[kPackedRows][kTogether<Block> == 1 ? 1 : kIn];
          for (int r = 0; r < kPackedRows; ++r) {
            in[r] = rows[r].component[0] + begin + at;
            fetch<kIn>(in[r] + a.part.ahead);
            if (kTogether < Block >> 1 && bytes - at < kIn) [[unlikely]] {  // zeros meet zeros of x
              __builtin_memset(room[r], 0, sizeof room[r]);
              __builtin_memcpy(room[r], in[r], static_cast<unsigned long>(bytes - at));
              in[r] = room[r];
            }
          }
          multiply_block<Block, Scheme, kOne>(in, x, a.x_rows, sums, y);
        }
        for (int r = 0; kOne && r < kPackedRows; ++r) store_f32(sums[r], y[r]);
      });
}

template <class Block, class Scheme>
constexpr FewRowsScheme block_scheme() {
  return {kChunkWeights,
          kXBytes<Scheme>,
          kPlacesOf<Block>.v,
          pack_row<Scheme>,
          nullptr,
          multiply_blocks<Block, Scheme, true>,
          multiply_blocks<Block, Scheme, false>};
}
template <class Block>
constexpr FewRowsKernel block_kernel() {
  constexpr int kBits = Block::kCodeBits;
  return {Block::kName, {block_scheme<Block, Standard<kBits>>(), block_scheme<Block, Fast<kBits>>()}};
}
