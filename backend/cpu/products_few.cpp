#include <algorithm>
#include <cstring>
#include <numeric>
#include <string_view>
#include <vector>

#include "backend/common/executor.h"
#include "backend/cpu/blocking.h"
#include "backend/cpu/products.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/units/select.h"
#include "backend/cpu/weights_ahead.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr std::int64_t kTaskWeights = 1 << 21;   // of a task, so that threads that started late still share
constexpr std::int64_t kMostRounds = 8;          // of tasks, for each thread
constexpr std::int64_t kLeastWeights = 1 << 16;  // that are worth a thread
constexpr std::int64_t kSerialPack = 1 << 16;    // activations that are rounded without help
constexpr std::int64_t kLeastOfMany = 4;         // rows of x that are worth more than two runs
constexpr std::int64_t kLeastPiece = 512;        // bytes of packed rows that are worth a jump in memory
constexpr double kWorthJoining = 1.05;           // of a row's chunks to what it fills of them

/// Rows of x packed, in groups whose rows lie beside one another for each chunk.
class FewActivations {
 public:
  FewActivations(const FewRowsScheme& scheme, std::int64_t rows, std::int64_t length)
      : rows_(rows),
        chunks_((length + scheme.chunk - 1) / scheme.chunk),
        bytes_(scheme.chunk_bytes),
        memory_(Scratch::need<unsigned char>(rows * chunks_ * bytes_) + Scratch::need<bool>(rows)),
        data_(memory_.get<unsigned char>(rows * chunks_ * bytes_)),
        fits_(memory_.get<bool>(rows)) {}

  std::int64_t rows() const { return rows_; }
  /// Rows of the group that begins with row `first`.
  std::int64_t group_rows(std::int64_t first) const { return std::min(kMostFewRows, rows_ - first); }
  std::int64_t group_bytes(std::int64_t first) const { return group_rows(first) * chunks_ * bytes_; }
  const unsigned char* at(std::int64_t first, std::int64_t chunk) const {
    return data_ + (first * chunks_ + chunk * group_rows(first)) * bytes_;
  }
  /// Whether the row could be packed; else it is zero.
  bool fits(std::int64_t row) const { return fits_[row]; }

  void pack(const Unit& unit, const FewRowsScheme& scheme, const Matrix& x) {
    const std::int64_t grain = std::max<std::int64_t>(1, kSerialPack / x.columns);
    parallel_ranges(rows_, grain, 1, [&](std::int64_t begin, std::int64_t end) {
      Scratch own(Scratch::need<float>(x.columns));
      float* line = own.get<float>(x.columns);
      for (std::int64_t m = begin; m < end; ++m) {
        const float* values = x.columns % kFewBlock == 0 ? x.floats(m) : nullptr;  // whole blocks are read
        if (values == nullptr) {
          unit.load(x.at(m, 0), x.element, x.column_stride, x.columns, line);
          values = line;
        }
        const std::int64_t in_group = m % kMostFewRows, first = m - in_group, pitch = group_rows(first) * bytes_;
        unsigned char* packed = data_ + (first * chunks_ + in_group) * bytes_;
        fits_[m] = scheme.pack(values, x.columns, scheme.order, pitch, packed);
        if (fits_[m]) continue;
        for (std::int64_t c = 0; c < chunks_; ++c) std::memset(packed + c * pitch, 0, static_cast<std::size_t>(bytes_));
      }
    });
  }

 private:
  std::int64_t rows_, chunks_, bytes_;
  Scratch memory_;
  unsigned char* data_;
  bool* fits_;
};

const FewRowsKernel* find_kernel(const FewRowsKernels& kernels, std::string_view format) {
  const std::string_view stem = format.substr(0, format.find('-'));
  const FewRowsKernel* end = kernels.all + kernels.count;
  const auto* found = std::find_if(kernels.all, end, [&](const FewRowsKernel& k) { return k.format == stem; });
  return found != end ? found : nullptr;
}
const FewRowsKernel* find_kernel(const FewRowsUnit& few, std::string_view format) {
  const FewRowsKernel* kernel = find_kernel(few.kernels, format);
  return kernel != nullptr ? kernel : find_kernel(*few.blocks, format);
}
/// That of bf16, where this processor has one.
const FewRowsKernel* find_kernel(const Unit& unit, std::string_view format) {
  const Bf16Unit* bf16 = bf16_of(unit);
  const bool has_own = bf16 != nullptr && bf16->few_rows != nullptr;
  const FewRowsKernel* kernel = has_own ? find_kernel(*bf16->few_rows, format) : nullptr;
  return kernel != nullptr ? kernel : find_kernel(*unit.few_rows, format);
}

/// What all tasks of a product share.
struct FewProduct {
  const Unit& unit;
  const FewRowsScheme& scheme;
  const FewActivations& x;
  const PackedRows& w;
  const Output& y;
  std::int64_t joined;  ///< packed rows that are taken as one line
  RowPart part;         ///< whole lines

  RowRun run(std::int64_t line) const {
    RowRun run{.first = w.bytes(line * joined), .pitch = {}};
    for (int c = 0; c < w.components(); ++c) run.pitch[c] = w.pitch(c) * joined;
    return run;
  }
};

/// Bytes of packed rows that are asked for before they are read.
std::int64_t bytes_ahead(const Unit& unit) {
  constexpr std::int64_t kRowAfterRow = 8192;
  return unit.few_rows->side_by_side ? blocking().few_ahead : kRowAfterRow;
}

/// Asks for what a run begins with while x is still prepared: every chunk asks for codes so many bytes on, and for the
/// scales of those.
void fetch_first(const RowRun& run, std::int64_t ahead) {
  const std::int64_t codes = std::max<std::int64_t>(run.pitch[0], 1);
  for (int c = 0; c < 4; ++c) {
    const std::int64_t bytes = c == 0 ? ahead : ahead * run.pitch[c] / codes;
    for (std::int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(run.first.component[c] + at);
  }
}

/// Runs of packed rows that are read side by side with the group of rows of x from `first` on: more where x comes from
/// the second cache for each of them.
int runs_for(const FewRowsScheme& scheme, const FewActivations& x, std::int64_t first) {
  if (scheme.some == nullptr) return kMostRuns;
  const bool far = x.group_rows(first) >= kLeastOfMany && x.group_bytes(first) > blocking().few_near;
  return scheme.many != nullptr && far ? kMostRuns : 2;
}

/// Weights of a piece of packed rows that meet the same piece of x from row `first` on. A unit that lets all rows of x
/// meet each chunk passes over x for every pair of packed rows. From the second cache that takes turns with memory,
/// since what either is asked for waits in the same few places: of x that exceeds the first cache a piece stays there
/// while some packed rows pass, if those pieces are still long enough to be read well.
std::int64_t piece_for(const FewProduct& p, std::int64_t first, int runs) {
  const std::int64_t m = p.x.group_rows(first), chunk = p.scheme.chunk, length = p.w.length();
  const bool far = m > 1 && runs == 2 && p.unit.few_rows->side_by_side && p.x.group_bytes(first) > blocking().few_near;
  const std::int64_t bytes = far ? blocking().few_piece : blocking().few_activations;
  const std::int64_t long_enough = far ? kLeastPiece * length / std::max<std::int64_t>(p.w.pitch(0), 1) / chunk : 0;
  return std::max<std::int64_t>({1, long_enough, bytes / (m * p.scheme.chunk_bytes)}) * chunk;
}

/// Columns of y of the lines [begin, end) of packed rows, for the group of rows of x from `first` on. Runs of
/// neighbouring lines are read side by side; they overlap where the number is no multiple of theirs. More than one row
/// of x come from the second cache for each line: memory is read evenly then. Only of long ones does a piece of some
/// lines meet a piece.
void multiply_range(const FewProduct& p, std::int64_t first, std::int64_t begin, std::int64_t end) {
  const std::int64_t m = p.x.group_rows(first), chunk = p.scheme.chunk, length = p.w.length(), lanes = p.unit.lanes;
  const int runs = runs_for(p.scheme, p.x, first);
  const std::int64_t share = (end - begin + runs - 1) / runs;  // of a run
  const std::int64_t step_floats = m * p.joined * lanes, columns = share * p.joined;
  std::int64_t steps = std::clamp<std::int64_t>(blocking().few_sums / (runs * step_floats * 4), 1, share);
  if (steps > 4) steps = steps / 4 * 4;  // whose lanes are added up together
  const std::int64_t piece = piece_for(p, first, runs);
  const std::int64_t repeated = p.joined > 1 ? p.part.count / chunk * p.scheme.chunk_bytes : 0;
  Scratch scratch(Scratch::need<float>(runs * steps * step_floats) + Scratch::need<float>(runs * columns * m) +
                  Scratch::need<unsigned char>(repeated));
  float* acc = scratch.get<float>(runs * steps * step_floats);
  float* out = scratch.get<float>(runs * columns * m);  // (row of x, run, column)
  std::int64_t starts[kMostRuns];
  FewRowsProduct product{
      .w = {}, .steps = 0, .joined = p.joined, .part = p.part, .x = p.x.at(first, 0), .x_rows = m, .sums = {}};
  for (int run = 0; run < runs; ++run) {
    starts[run] = std::min(begin + run * share, end - share);
    product.w[run] = p.run(starts[run]);
    product.sums[run] = acc + run * steps * step_floats;
    fetch_first(product.w[run], p.part.ahead);
  }
  if (p.joined > 1) {  // by each task: lines that one thread writes reach another slowly
    auto* x = scratch.get<unsigned char>(repeated);
    p.scheme.repeat(p.x.at(first, 0), length / kFewBlock, p.joined, x);
    product.x = x;
  }
  product.part.ahead = p.part.ahead * 2 / runs;  // of all runs together
  // Where pieces of neighbouring rows follow one another, what comes soon lies as many rows ahead.
  const std::int64_t pitch = p.w.pitch(0), of_piece = pitch * piece / length;
  if (m > 1 && piece < length && of_piece > 0) product.part.ahead = (p.part.ahead + of_piece - 1) / of_piece * pitch;
  for (std::int64_t i = 0; i < share; i += steps) {
    for (int run = 0; run < runs; ++run) product.w[run].first = p.w.bytes((starts[run] + i) * p.joined);
    product.steps = std::min(steps, share - i);
    if (m == 1) {
      p.scheme.one(product);
    } else {
      std::fill_n(acc, runs * steps * step_floats, 0.f);
      for (std::int64_t k = 0; k < length; k += piece) {
        product.part.begin = p.part.begin + k;
        product.part.count = std::min(piece, length - k);
        product.x = p.x.at(first, k / chunk);
        (runs == 2 ? p.scheme.some : p.scheme.many)(product);
      }
    }
    for (std::int64_t run = 0; run < runs; ++run) {
      for (std::int64_t row = 0; row < m; ++row) {
        p.unit.few_rows->reduce(product.sums[run] + row * lanes, m * lanes, product.steps * p.joined,
                                out + (row * runs + run) * columns + i * p.joined);
      }
    }
  }
  for (std::int64_t row = 0; row < m; ++row) {
    if (!p.x.fits(first + row)) continue;
    for (int run = 0; run < runs; ++run) {
      p.y.store(p.unit, first + row, starts[run] * p.joined, columns, out + (row * runs + run) * columns);
    }
  }
}

/// Packed rows whose length is no multiple of a chunk's follow one another in memory: as many are one line as make
/// whole chunks, if one row of x, repeated so often, stays in the first cache.
std::int64_t rows_joined(const FewRowsScheme& scheme, const PackedRows& w) {
  const std::int64_t length = w.length(), line = std::lcm(length, scheme.chunk), joined = line / length;
  const std::int64_t chunks = (length + scheme.chunk - 1) / scheme.chunk;
  const bool worth = static_cast<double>(chunks * scheme.chunk) > kWorthJoining * static_cast<double>(length);
  const bool can = scheme.repeat != nullptr && length >= scheme.chunk && length <= kMostJoinedBlocks * kFewBlock &&
                   w.rows() % joined == 0 && w.contiguous();
  return worth && can && line / scheme.chunk * scheme.chunk_bytes <= blocking().few_line ? joined : 1;
}

/// The lines of each task. Every thread has a share of its own, the one that it asked memory for while it waited
/// (weights_ahead.h). Shares are cut into parts, the first ones long, because memory is read at full speed only some
/// time after a task begins, and the last ones short, for whoever is done first.
struct TaskLines {
  std::int64_t lines, shares, parts;
  int runs;

  std::int64_t tasks() const { return shares * parts; }
  std::int64_t begin(std::int64_t task) const { return cut(task % shares, task / shares); }
  std::int64_t end(std::int64_t task) const { return cut(task % shares, task / shares + 1); }

 private:
  /// A multiple of the runs that share a task's lines.
  std::int64_t cut(std::int64_t share, std::int64_t part) const {
    if (part == parts) return share + 1 == shares ? lines : cut(share + 1, 0);
    const double left = 1 - static_cast<double>(part) / static_cast<double>(parts);
    const double before = (static_cast<double>(share) + 1 - left * left) / static_cast<double>(shares);
    return static_cast<std::int64_t>(before * static_cast<double>(lines)) / runs * runs;
  }
};

}  // namespace

bool suits_few_rows(const FewRowsUnit& few, const Format& format) {
  return suits_integers(format) || find_kernel(few, format.name) != nullptr;
}

void multiply_few_rows(const Unit& unit, FewScheme scheme, const Matrix& x, const PackedRows& w, const Output& y,
                       bool deterministic, std::int64_t products) {
  const FewRowsKernel* kernel = find_kernel(unit, w.format().name);
  if (kernel == nullptr) {
    const bool fast = scheme == FewScheme::fast && unit.fast.multiply != nullptr;
    return multiply_along_integer(unit, fast ? unit.fast : unit.standard, x, w, y);
  }
  if (x.rows == 0 || w.rows() == 0) return;
  const FewRowsScheme& chosen = kernel->schemes[static_cast<int>(scheme)];
  const std::int64_t joined = x.rows == 1 && !deterministic ? rows_joined(chosen, w) : 1, lines = w.rows() / joined;
  FewActivations activations(chosen, x.rows, x.columns);
  activations.pack(unit, chosen, x);
  const RowPart whole{w.begin(), w.length() * joined, w.format().group_size, w.bytes(0).scale, bytes_ahead(unit)};
  const FewProduct product{unit, chosen, activations, w, y, joined, whole};
  const std::int64_t weights = w.rows() * w.length();
  const int runs = runs_for(chosen, activations, 0);
  const std::int64_t most = std::min(lines / runs + 1, weights / kLeastWeights + 1);
  const std::int64_t threads = num_threads(),
                     rounds = std::min(products * weights / (threads * kTaskWeights) + 1, kMostRounds);
  std::vector<std::int64_t> refused;
  for (std::int64_t m = 0; m < x.rows; ++m) {
    if (!activations.fits(m)) refused.push_back(m);
  }
  if (static_cast<std::int64_t>(refused.size()) == x.rows) return multiply_refused(unit, scheme, x, w, y, refused);
  // Of all products together; each task begins with waiting for memory.
  const std::int64_t wanted = products == 1 ? threads : threads * rounds;
  const std::int64_t shares = std::min(most, (wanted + products - 1) / products);
  const TaskLines of{lines, shares, products == 1 ? std::clamp<std::int64_t>(most / shares, 1, rounds) : 1, runs};
  about_to_read(w);
  parallel_for(of.tasks(), [&](std::int64_t i) {
    const std::int64_t begin = of.begin(i), end = of.end(i);
    for (std::int64_t first = 0; begin < end && first < x.rows; first += kMostFewRows) {
      multiply_range(product, first, begin, end);
    }
  });
  multiply_refused(unit, scheme, x, w, y, refused);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
