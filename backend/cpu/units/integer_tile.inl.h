// Products of many rows of x with packed rows, in integers; written once for all units. Included inside the unit's
// unnamed namespace, after its vectors, max_magnitude and activation schemes. A scheme has, beside `round`,
//   kBytes, kStep     bytes of an activation, and from one to the next in a packed row: where they differ, a row is
//   split into parts kTake             neighbouring weights that a lane of 32 bits takes at once kRun weights whose
//   products are summed in Sums, before `finish` adds those to the wider Total kTileRows         rows of w whose sums
//   stay in registers beside two vectors of rows of x X, load           the activations of a vector of rows in one step
//   W, broadcast      the codes of a row of w in one step, for all lanes
//   Sums, start, accumulate, Total, finish, total

#include "backend/cpu/units/each.inl.h"
#include "backend/cpu/units/integer_range.inl.h"

template <class Scheme>
bool pack(const float* x, std::int64_t k, int block, unsigned char* q, float* scale, float* sum) {
  for (std::int64_t i = 0; i < k; i += block, q += block * Scheme::kStep) {
    const std::uint32_t bits = max_magnitude(x + i, block);
    const float most = __builtin_bit_cast(float, bits);
    if (!has_integers(bits)) return false;
    const float unit = most / Scheme::kMost;
    const std::int32_t total = Scheme::round(x + i, block, bits == 0 ? 0.f : Scheme::kMost / most, q, k);
    *scale++ = unit;
    *sum++ = unit * static_cast<float>(total);
  }
  return true;
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
/// and blocks are added in order, so a row's result depends neither on kPanels nor on the other rows.
template <class Scheme, int kPanels, int kRows>
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
  for (std::int64_t i = first; i < first + count; ++i) {
    typename Scheme::Total totals[kSets][kPanels] = {};
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
      x_sums[v] = load_f32(x_sum + (v * a.x_blocks + i) * kLanes);
    });
    const std::int64_t group = row * a.groups + (i >> a.group_shift);
    each<kRows>([&](auto n) {
      const F scale = broadcast(a.scales[group + n * a.groups]), bias = broadcast(a.biases[group + n * a.groups]);
      each<kPanels>([&](auto v) {
        float* out = acc + v * a.acc_panel + n * kLanes;
        const F y = fma(mul(scale, units[v]),
                        total_of_row<Scheme>(totals[n / kTogether<Scheme>][v], n % kTogether<Scheme>), load_f32(out));
        store_f32(out, fma(bias, x_sums[v], y));
      });
    });
  }
}

template <class Scheme>
void multiply(const IntegerProduct& a) {
  constexpr int kRows = Scheme::kTileRows;
  constexpr std::int64_t kBlocks = 8;
  // Lines are asked for little by little: a processor waits once it has some twenty under way.
  const std::int64_t calls = a.rows / kRows * ((a.blocks + kBlocks - 1) / kBlocks);
  std::int64_t call = 0, fetched = 0;
  for (std::int64_t panel = 0; panel < a.panels; panel += 2) {
    for (std::int64_t block = 0; block < a.blocks; block += kBlocks) {
      for (std::int64_t row = 0; row < a.rows; row += kRows) {
        for (const std::int64_t due = ++call < calls ? a.ahead_count * call / calls : a.ahead_count; fetched < due;
             ++fetched) {
          __builtin_prefetch(a.ahead[fetched], 0, 2);
        }
        const std::int64_t blocks = a.blocks - block < kBlocks ? a.blocks - block : kBlocks;
        if (panel + 1 < a.panels) {
          multiply_tile<Scheme, 2, kRows>(a, panel, row, block, blocks);
        } else {
          multiply_tile<Scheme, 1, kRows>(a, panel, row, block, blocks);
        }
      }
    }
  }
}

template <class Scheme>
constexpr IntegerScheme scheme(void (*product)(const IntegerProduct&) = multiply<Scheme>) {
  return {Scheme::kBytes, Scheme::kStep, pack<Scheme>, product, Scheme::kCodeBytes, Scheme::kMostBits};
}
