#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <span>
#include <vector>

#include "backend/common/executor.h"
#include "backend/cpu/blocking.h"
#include "backend/cpu/integer_panels.h"
#include "backend/cpu/products.h"
#include "backend/cpu/scratch.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr std::int64_t kRowBlock = 512;  // rows of x that one pass over w serves

/// How a product is cut. A sheet of decoded weights and a pair of panels should stay in the first cache, a sheet's
/// share of x or the sheet itself in the second.
struct Cut {
  std::int64_t tile;   ///< rows of w, columns of y, that a thread computes together: some sheets
  std::int64_t sheet;  ///< rows of them that are decoded together: a multiple of those that are multiplied at once
  std::int64_t depth;  ///< weights of a row that are decoded together
};
constexpr std::int64_t kMostDepth = 2048, kTallDepth = 1024;
constexpr std::int64_t kShortRows = 128;

constexpr std::int64_t kThreadPieces = 8;  // for each thread, so that none waits long for the last one

Cut cut_of(std::int64_t x_rows, std::int64_t w_rows, const IntegerScheme& scheme) {
  const std::int64_t at_once = scheme.rows;
  const auto sheet_of = [&](std::int64_t bytes, std::int64_t depth) {
    return std::max<std::int64_t>(bytes / depth / at_once, 1) * at_once;
  };
  if (x_rows > kShortRows) {
    // Many rows of x pass over a sheet, and come from the third cache or farther for each: the taller it is, the less
    // often. Yet there should be enough of them.
    const std::int64_t least = sheet_of(blocking().tall_sheet, kTallDepth);
    const std::int64_t most = sheet_of(blocking().tallest_sheet, kTallDepth);
    const std::int64_t pieces = kThreadPieces * num_threads(), share = (w_rows + pieces - 1) / pieces;
    const std::int64_t sheet = std::clamp((share + at_once - 1) / at_once * at_once, least, most);
    return {sheet, sheet, kTallDepth};
  }
  const std::int64_t sheet = sheet_of(blocking().short_sheet, kMostDepth);  // few do, so it must be read soon
  return {std::max(32 / sheet, std::int64_t{1}) * sheet, sheet, kMostDepth};
}

constexpr std::int64_t kRowsAhead = 4;  // of w, from the one that is decoded to the one that is asked for

/// y = x · wᵀ in pieces: a tile of columns of y by some panels of x, which threads claim one after the other.
template <class Store>
class IntegerTiles {
 public:
  IntegerTiles(const Unit& unit, const IntegerScheme& scheme, const Cut& cut, const ActivationPanels& x,
               const PackedRows& w, Store& store)
      : unit_(unit), scheme_(scheme), x_(x), w_(w), store_(store), cut_(cut) {
    const std::int64_t tiles = (w.rows() + cut_.tile - 1) / cut_.tile, pairs = (x.count + 1) / 2;
    const std::int64_t threads = num_threads(), wanted = threads == 1 ? 1 : kThreadPieces * threads;
    parts_ = std::clamp((wanted + tiles - 1) / tiles, std::int64_t{1}, pairs);
    pieces_ = tiles * parts_;
  }

  void run() {
    const std::int64_t worth = x_.rows * w_.rows() * w_.length() / kTask + 1;
    parallel_for(std::min({std::int64_t{num_threads()}, pieces_, worth}), [&](std::int64_t) { work(); });
  }

 private:
  /// Where a sheet of decoded weights begins.
  struct Place {
    std::int64_t row, k;
  };
  struct Memory {
    explicit Memory(const IntegerTiles& t)
        : groups(t.cut_.depth / t.w_.format().group_size),
          lines(t.cut_.sheet * t.w_.most_lines(t.cut_.depth)),
          panel(t.columns_ * t.unit_.lanes),
          scratch(Scratch::need<std::uint8_t>(t.cut_.sheet * t.code_pitch_) +
                  2 * Scratch::need<float>(t.cut_.sheet * groups) + Scratch::need<const void*>(lines) +
                  Scratch::need<float>((t.x_.count + 1) * panel)),
          codes(scratch.get<std::uint8_t>(t.cut_.sheet * t.code_pitch_)),
          scales(scratch.get<float>(t.cut_.sheet * groups)),
          biases(scratch.get<float>(t.cut_.sheet * groups)),
          ahead(scratch.get<const void*>(lines)),
          out(scratch.get<float>(panel)),
          acc(scratch.get<float>(t.x_.count * panel)) {}

    std::int64_t groups, lines, panel;
    Scratch scratch;
    std::uint8_t* codes;
    float* scales;
    float* biases;
    const void** ahead;
    float* out;
    float* acc;
  };

  std::int64_t claim() { return next_.fetch_add(1, std::memory_order_relaxed); }
  std::int64_t row_of(std::int64_t piece) const { return piece / parts_ * cut_.tile; }
  std::int64_t panel_of(std::int64_t part) const { return std::min((x_.count + 1) / 2 * part / parts_ * 2, x_.count); }

  /// A thread claims the next piece before it computes one, so that the weights of the next can be fetched meanwhile.
  void work() {
    Memory memory(*this);
    std::int64_t piece = claim();
    if (piece >= pieces_) return;
    const std::int64_t lines = locate({row_of(piece), 0}, memory.ahead);
    for (std::int64_t i = 0; i < lines; ++i) __builtin_prefetch(memory.ahead[i]);
    while (piece < pieces_) {
      const std::int64_t next = claim();
      compute(piece, next, memory);
      piece = next;
    }
  }

  void compute(std::int64_t piece, std::int64_t next, const Memory& memory) {
    const std::int64_t n = row_of(piece), begin = panel_of(piece % parts_), end = panel_of(piece % parts_ + 1);
    std::memset(memory.acc, 0, static_cast<std::size_t>((end - begin) * memory.panel) * sizeof(float));
    for (std::int64_t k = 0; k < w_.length(); k += cut_.depth) {
      const std::int64_t here = std::min(cut_.tile, w_.rows() - n);
      for (std::int64_t r = 0; r < here; r += cut_.sheet) {
        Place following{n + r + cut_.sheet, k};
        if (r + cut_.sheet >= here) following = {n, k + cut_.depth};
        if (following.k >= w_.length()) following = {next < pieces_ ? row_of(next) : w_.rows(), 0};
        decode({n + r, k}, memory);
        multiply({n + r, k}, r, begin, end, locate(following, memory.ahead), memory);
      }
    }
    put(n, begin, end, memory);
  }

  /// Of a sheet, as many as can be multiplied.
  std::int64_t decoded_rows(std::int64_t first) const {
    return std::min(cut_.sheet, (w_.rows() - first + scheme_.rows - 1) / scheme_.rows * scheme_.rows);
  }

  void decode(Place at, const Memory& memory) const {
    const std::int64_t count = std::min(cut_.depth, w_.length() - at.k);
    for (std::int64_t r = 0; r < decoded_rows(at.row); ++r) {
      const std::int64_t row = std::min(at.row + r, w_.rows() - 1);  // the last one again past the end
      if (cut_.depth == kTallDepth) ask_for(row + kRowsAhead, at.k, count);
      float* scales = memory.scales + r * memory.groups;
      float* biases = memory.biases + r * memory.groups;
      std::uint8_t* codes = memory.codes + r * code_pitch_;
      if (scheme_.code_bytes == 1) {
        w_.unpack(row, at.k, count, codes, scales, biases);
      } else {
        std::uint8_t narrow[kMostDepth];
        w_.unpack(row, at.k, count, narrow, scales, biases);
        std::copy_n(narrow, count, reinterpret_cast<std::uint16_t*>(codes));
      }
    }
  }

  /// What was asked for while the last sheet was multiplied may have had to make room for x since.
  void ask_for(std::int64_t row, std::int64_t k, std::int64_t count) const {
    if (row >= w_.rows()) return;
    for (int c = 0; c < w_.components(); ++c) {
      const std::span<const unsigned char> bytes = w_.bytes(row, c, k, count);
      for (std::size_t i = 0; i < bytes.size(); i += kLine) __builtin_prefetch(bytes.data() + i);
    }
  }

  void multiply(Place at, std::int64_t r, std::int64_t begin, std::int64_t end, std::int64_t lines,
                const Memory& memory) const {
    const std::int64_t count = x_.here(at.k), first = x_.float_at(begin, at.k);
    scheme_.multiply({.x = x_.q_at(begin, at.k),
                      .x_panel = count * x_.step_bytes,
                      .x_scale = x_.scale + first,
                      .x_sum = x_.sum + first,
                      .x_blocks = count / x_.block,
                      .panels = end - begin,
                      .codes = memory.codes,
                      .code_pitch = code_pitch_,
                      .zero = x_.zero,
                      .scales = memory.scales,
                      .biases = memory.biases,
                      .groups = memory.groups,
                      .bits = w_.format().code_bits,
                      .block = x_.block,
                      .group_shift = std::countr_zero(static_cast<unsigned>(w_.format().group_size / x_.block)),
                      .blocks = count / x_.block,
                      .rows = decoded_rows(at.row),
                      .acc = memory.acc + r * unit_.lanes,
                      .acc_panel = memory.panel,
                      .ahead = memory.ahead,
                      .ahead_count = lines});
  }

  /// The lines of memory that a sheet is decoded from.
  std::int64_t locate(Place at, const void** lines) const {
    const std::int64_t count = std::min(cut_.depth, w_.length() - at.k);
    const std::int64_t rows = std::min(cut_.sheet, w_.rows() - at.row);
    return rows > 0 ? w_.locate(at.row, rows, at.k, count, false, lines) : 0;
  }

  void put(std::int64_t n, std::int64_t begin, std::int64_t end, const Memory& memory) const {
    const std::int64_t here = std::min(cut_.tile, w_.rows() - n), lanes = unit_.lanes;
    for (std::int64_t p = begin; p < end; ++p) {
      const float* acc = memory.acc + (p - begin) * memory.panel;
      for (std::int64_t r = 0; r < columns_; r += lanes)
        unit_.transpose(acc + r * lanes, lanes * 4, lanes, memory.out + r, columns_ * 4);
      for (std::int64_t m = p * lanes; m < std::min((p + 1) * lanes, x_.rows); ++m) {
        if (x_.fits[m]) store_(m, n, here, memory.out + (m - p * lanes) * columns_);
      }
    }
  }

  const Unit& unit_;
  const IntegerScheme& scheme_;
  const ActivationPanels& x_;
  const PackedRows& w_;
  Store& store_;
  const Cut cut_;
  const std::int64_t code_pitch_ = cut_.depth * scheme_.code_bytes + kLine;  ///< else rows share places of the cache
  const std::int64_t columns_ = (cut_.tile + unit_.lanes - 1) / unit_.lanes * unit_.lanes;  ///< of sums: whole vectors
  std::int64_t parts_;                                                                      ///< of the panels
  std::int64_t pieces_;
  std::atomic<std::int64_t> next_{0};
};

}  // namespace

bool suits_integers(const Format& format) {
  const int group = format.group_size;
  return format.codes != nullptr && group >= 16 && group <= 256 && std::has_single_bit(static_cast<unsigned>(group));
}

void multiply_along_integer(const Unit& unit, const IntegerScheme& wanted, const Matrix& x, const PackedRows& w,
                            const Output& y) {
  // Codes too wide for a faster scheme take the more precise one.
  const IntegerScheme& scheme = w.format().code_bits <= wanted.most_bits ? wanted : unit.standard;
  const int block = std::min(w.format().group_size, 64);
  std::vector<std::int64_t> refused;
  for (std::int64_t first = 0; first < x.rows; first += kRowBlock) {
    const std::int64_t rows = std::min(kRowBlock, x.rows - first);
    const auto store = [&](std::int64_t m, std::int64_t n, std::int64_t count, const float* sums) {
      y.store(unit, first + m, n, count, sums);
    };
    const Cut cut = cut_of(rows, w.rows(), scheme);
    ActivationPanels panels(unit, scheme, rows, w.length(), block, w.zero(), cut.depth);
    panels.pack(unit, scheme, x, first);
    if (w.rows() > 0) IntegerTiles(unit, scheme, cut, panels, w, store).run();
    for (std::int64_t m = 0; m < rows; ++m) {
      if (!panels.fits[m]) refused.push_back(first + m);
    }
  }
  multiply_refused(unit, scheme.bytes == 1 ? FewScheme::fast : FewScheme::standard, x, w, y, refused);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
