// Products of many rows of x with packed rows, in integers; written once for all units. Included inside the unit's
// unnamed namespace, after its vectors, max_magnitude and activation schemes. A scheme has, beside `round`,
// clang-format off
//   kBytes, kStep        bytes of an activation, and from one to the next in a packed row: where they differ, a row is
//                        split into parts
//   kTake                neighbouring weights that a lane of 32 bits takes at once
//   kRun                 weights whose products are summed in Sums, before `finish` adds those to the wider Total
//   kTileRows            rows of w whose sums stay in registers beside two vectors of rows of x
//   X, load              the activations of a vector of rows in one step
//   W, broadcast         the codes of a row of w in one step, for all lanes
//   Sums, start, accumulate, Total, begin, finish, total
// clang-format on

#include "backend/cpu/units/each.inl.h"
#include "backend/cpu/units/integer_range.inl.h"
#include "backend/cpu/units/rounding.inl.h"

/// Of some blocks first all magnitudes, then all codes: one block after the other would wait for each step of its own.
template <class Scheme>
bool pack(const float* x, std::int64_t k, int block, int zero, unsigned char* q, float* scale, float* sum) {
  constexpr std::int64_t kBlocks = 16;
  Rounding rounding;
  for (std::int64_t begin = 0; begin < k; begin += kBlocks * block) {
    const std::int64_t end = begin + kBlocks * block < k ? begin + kBlocks * block : k;
    float units[kBlocks], inverses[kBlocks];
    std::int32_t totals[kBlocks];
    int count = 0;
    for (std::int64_t i = begin; i < end; i += block, ++count) {
      const std::uint32_t bits = max_magnitude(x + i, block);
      const float most = __builtin_bit_cast(float, bits);
      if (!has_integers(bits)) return false;
      units[count] = most / Scheme::kMost;
      inverses[count] = bits == 0 ? 0.f : Scheme::kMost / most;
    }
    for (int b = 0; b < count; ++b, q += block * Scheme::kStep) {
      const float* values = x + begin + b * block;
      totals[b] = Scheme::round(values, block, inverses[b], q, k);
      rounding.add(values, block, inverses[b], units[b]);
    }
    for (int b = 0; b < count; ++b) {
      *scale++ = units[b];
      *sum++ = zero == 0 ? units[b] * static_cast<float>(totals[b]) : __builtin_bit_cast(float, totals[b] * -zero);
    }
  }
  return rounding.stays_below(kMostLost<Scheme>);
}

/// Rows of w that a scheme multiplies together: each Sums then is of all of them, and `total` tells them apart.
template <class Scheme>
constexpr int kTogether = 1;
template <class Scheme>
requires(Scheme::kTogether > 1) constexpr int kTogether<Scheme> = Scheme::kTogether;

template <class Scheme>
inline auto codes_of_rows(const std::uint8_t* codes, std::int64_t pitch) {
  if constexpr (kTogether<Scheme> == 1) {
    return Scheme::broadcast(codes);
  } else {
    return Scheme::broadcast(codes, pitch);
  }
}
template <class Scheme>
inline F total_of_row(const typename Scheme::Total& total, int row) {
  if constexpr (kTogether<Scheme> == 1) {
    return Scheme::total(total);
  } else {
    return Scheme::total(total, row);
  }
}

/// Sums of kPanels vectors of rows of x with kRows rows of w, for `count` blocks. A block's sum is exact in integers
/// and blocks are added in order, so a row's result depends neither on kPanels nor on the other rows. Where codes have
/// a fixed zero, integer sums begin with what it takes from them; else each group has a bias.
template <class Scheme, int kPanels, int kRows, bool kZero>
void multiply_tile(const IntegerProduct& a, std::int64_t panel, std::int64_t row, std::int64_t first,
                   std::int64_t count) {
  constexpr std::int64_t kStepBytes = kLanes * Scheme::kTake * Scheme::kBytes;
  constexpr int kSets = kRows / kTogether<Scheme>;
  const unsigned char* x = a.x + panel * a.x_panel + first * (a.block / Scheme::kTake * kStepBytes);
  const float* x_scale = a.x_scale + panel * a.x_blocks * kLanes;
  const float* x_sum = a.x_sum + panel * a.x_blocks * kLanes;
  const std::uint8_t* codes = a.codes + row * a.code_pitch + first * (a.block * Scheme::kCodeBytes);
  float* acc = a.acc + panel * a.acc_panel + row * kLanes;
  const int run = a.block < Scheme::kRun ? a.block : Scheme::kRun;  // a constant would let compilers unroll and spill
  F ys[kRows][kPanels];
  each<kRows>([&](auto n) { each<kPanels>([&](auto v) { ys[n][v] = load_f32(acc + v * a.acc_panel + n * kLanes); }); });
  for (std::int64_t i = first; i < first + count; ++i) {
    typename Scheme::Total totals[kSets][kPanels] = {};
    if constexpr (kZero) {
      each<kPanels>([&](auto v) {
        const auto begin = Scheme::begin(x_sum + (v * a.x_blocks + i) * kLanes);
        each<kSets>([&](auto n) { totals[n][v] = begin; });
      });
    }
    for (int k = 0; k < a.block; k += run) {
      typename Scheme::Sums sums[kSets][kPanels];
      each<kSets>([&](auto n) { each<kPanels>([&](auto v) { sums[n][v] = Scheme::start(totals[n][v]); }); });
      for (int j = 0; j < run; j += Scheme::kTake) {
        typename Scheme::X xs[kPanels];
        each<kPanels>([&](auto v) { xs[v] = Scheme::load(x + v * a.x_panel); });
        each<kSets>([&](auto n) {
          const auto w = codes_of_rows<Scheme>(codes + n * kTogether<Scheme> * a.code_pitch, a.code_pitch);
          each<kPanels>([&](auto v) { Scheme::accumulate(sums[n][v], w, xs[v]); });
        });
        x += kStepBytes;
        codes += Scheme::kTake * Scheme::kCodeBytes;
      }
      each<kSets>([&](auto n) { each<kPanels>([&](auto v) { Scheme::finish(totals[n][v], sums[n][v]); }); });
    }
    F units[kPanels], x_sums[kPanels];
    each<kPanels>([&](auto v) {
      units[v] = load_f32(x_scale + (v * a.x_blocks + i) * kLanes);
      if constexpr (!kZero) x_sums[v] = load_f32(x_sum + (v * a.x_blocks + i) * kLanes);
    });
    const std::int64_t group = row * a.groups + (i >> a.group_shift);
    each<kRows>([&](auto n) {
      const F scale = broadcast(a.scales[group + n * a.groups]);
      each<kPanels>([&](auto v) {
        const F total = total_of_row<Scheme>(totals[n / kTogether<Scheme>][v], n % kTogether<Scheme>);
        ys[n][v] = fma(mul(scale, units[v]), total, ys[n][v]);
      });
      if constexpr (!kZero) {
        const F bias = broadcast(a.biases[group + n * a.groups]);
        each<kPanels>([&](auto v) { ys[n][v] = fma(bias, x_sums[v], ys[n][v]); });
      }
    });
  }
  each<kRows>([&](auto n) { each<kPanels>([&](auto v) { store_f32(acc + v * a.acc_panel + n * kLanes, ys[n][v]); }); });
}

/// Bytes of a panel of x that meet all rows of w before more follow: those of two should stay in the first cache. Fewer
/// would cost calls.
constexpr std::int64_t kPieceBytes = 8192;

/// Asks for bytes that are read soon, into the second cache: the first has no room for more.
inline void fetch(const void* p, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const unsigned char*>(p) + i, 0, 2);
}

/// Asks for part i of n of what a tile of x will be read of, `blocks` blocks of two panels: a processor waits once it
/// has some twenty lines under way, and x as a whole lies no nearer than in the third cache.
template <class Scheme>
void fetch_x(const IntegerProduct& a, std::int64_t panel, std::int64_t first, std::int64_t blocks, std::int64_t i,
             std::int64_t n) {
  const std::int64_t block_bytes = a.block * kLanes * Scheme::kBytes, share = blocks * block_bytes / n;
  for (const std::int64_t end = panel + 2 < a.panels ? panel + 2 : a.panels; panel < end; ++panel) {
    fetch(a.x + panel * a.x_panel + first * block_bytes + i * share, share);
    const std::int64_t floats = (panel * a.x_blocks + first) * kLanes, bytes = blocks * kLanes * 4;
    if (i == 0) fetch(a.x_scale + floats, bytes);
    if (i == 1) fetch(a.x_sum + floats, bytes);
  }
}

template <class Scheme, bool kZero>
void multiply_all(const IntegerProduct& a) {
  constexpr int kRows = Scheme::kTileRows;
  const std::int64_t piece = kPieceBytes / (a.block * kLanes * Scheme::kBytes), tiles = a.rows / kRows;
  const std::int64_t calls = tiles * ((a.blocks + piece - 1) / piece);
  std::int64_t call = 0, fetched = 0;
  for (std::int64_t panel = 0; panel < a.panels; panel += 2) {
    for (std::int64_t block = 0; block < a.blocks; block += piece) {
      const std::int64_t blocks = a.blocks - block < piece ? a.blocks - block : piece;
      const bool more = block + blocks < a.blocks;
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        // Lines of w are asked for little by little, too.
        for (const std::int64_t due = ++call < calls ? a.ahead_count * call / calls : a.ahead_count; fetched < due;
             ++fetched) {
          fetch(a.ahead[fetched], 1);
        }
        fetch_x<Scheme>(a, more ? panel : panel + 2, more ? block + blocks : 0, piece, tile, tiles);
        if (panel + 1 < a.panels) {
          multiply_tile<Scheme, 2, kRows, kZero>(a, panel, tile * kRows, block, blocks);
        } else {
          multiply_tile<Scheme, 1, kRows, kZero>(a, panel, tile * kRows, block, blocks);
        }
      }
    }
  }
}

template <class Scheme>
void multiply(const IntegerProduct& a) {
  return a.zero == 0 ? multiply_all<Scheme, false>(a) : multiply_all<Scheme, true>(a);
}

template <class Scheme>
constexpr IntegerScheme scheme(void (*product)(const IntegerProduct&) = multiply<Scheme>) {
  return {Scheme::kBytes,     Scheme::kStep,     pack<Scheme>,     product,
          Scheme::kCodeBytes, Scheme::kTileRows, Scheme::kMostBits};
}
