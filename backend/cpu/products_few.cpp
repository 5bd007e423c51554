#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "backend/common/executor.h"
#include "backend/cpu/products.h"
#include "backend/cpu/scratch.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr std::int64_t kStreams = 2;              // packed rows that are read side by side, far apart
constexpr std::int64_t kActivationBytes = 20480;  // packed x that may stay in L1
constexpr std::int64_t kTaskWeights = 1 << 20;    // of a task, so that threads that started late still share
constexpr std::int64_t kLeastWeights = 1 << 16;   // that are worth a thread
constexpr std::int64_t kSerialPack = 1 << 16;     // activations that are rounded without help

/// Rows of x packed, in groups that the microkernel takes at once.
class FewActivations {
 public:
  FewActivations(const FewRowsUnit& few, const FewRowsScheme& scheme, std::int64_t rows, std::int64_t length)
      : rows_(rows),
        chunks_((length + few.chunk - 1) / few.chunk),
        bytes_(scheme.chunk_bytes),
        memory_(Scratch::need<unsigned char>(rows * chunks_ * bytes_)),
        data_(memory_.get<unsigned char>(rows * chunks_ * bytes_)) {}

  std::int64_t rows() const { return rows_; }
  /// Rows of the group that begins with this one.
  std::int64_t group(std::int64_t first) const { return std::min<std::int64_t>(kFewRowsAtOnce, rows_ - first); }
  const unsigned char* at(std::int64_t first, std::int64_t chunk) const {
    return data_ + (first * chunks_ + chunk * group(first)) * bytes_;
  }
  void pack(const Unit& unit, const FewRowsScheme& scheme, const std::uint8_t* order, const Matrix& x) {
    const std::int64_t grain = std::max<std::int64_t>(1, kSerialPack / x.columns);
    parallel_ranges(rows_, grain, 1, [&](std::int64_t begin, std::int64_t end) {
      Scratch own(Scratch::need<float>(x.columns));
      float* line = own.get<float>(x.columns);
      for (std::int64_t m = begin; m < end; ++m) {
        unit.load(x.at(m, 0), x.element, x.column_stride, x.columns, line);
        const std::int64_t first = m / kFewRowsAtOnce * kFewRowsAtOnce;
        const std::int64_t pitch = group(first) * bytes_;
        unsigned char* packed = data_ + (first * chunks_ + m - first) * bytes_;
        fits[m] = scheme.pack(line, x.columns, order, pitch, packed);
        if (fits[m]) continue;
        for (std::int64_t c = 0; c < chunks_; ++c) std::memset(packed + c * pitch, 0, static_cast<std::size_t>(bytes_));
      }
    });
  }

  bool fits[kMostFewRows];  ///< whether the row could be packed; else it is zero

 private:
  std::int64_t rows_, chunks_, bytes_;
  Scratch memory_;
  unsigned char* data_;
};

const FewRowsKernel* find_kernel(const FewRowsUnit& few, std::string_view format) {
  const std::string_view stem = format.substr(0, format.find('-'));
  const FewRowsKernel* end = few.kernels + few.kernel_count;
  const FewRowsKernel* found = std::find_if(few.kernels, end, [&](const FewRowsKernel& k) { return k.format == stem; });
  return found == end ? nullptr : found;
}

/// What all tasks of a product share.
struct FewProduct {
  const Unit& unit;
  void (*const* multiply)(const FewRowsProduct& args);  ///< by the rows of x, less one
  std::int64_t segment;                                 ///< weights of a row of which all rows of x stay in L1
  const FewActivations& x;
  const PackedRows& w;
  const Matrix& y;
};

/// acc[stream][row of x][lane] = the products with packed rows far apart, a segment of both after the other.
void multiply_streams(const FewProduct& p, const RowBytes (&rows)[kStreams], float* acc) {
  const std::int64_t chunk = p.unit.few_rows->chunk, pitch = p.x.rows() * p.unit.lanes;
  std::fill_n(acc, kStreams * pitch, 0.f);
  for (std::int64_t k = 0; k < p.w.length(); k += p.segment) {
    for (std::int64_t m = 0; m < p.x.rows(); m += p.x.group(m)) {
      float* first = acc + m * p.unit.lanes;
      p.multiply[p.x.group(m) - 1]({.w = {rows[0], rows[1]},
                                    .begin = p.w.begin() + k,
                                    .count = std::min(p.segment, p.w.length() - k),
                                    .group = p.w.format().group_size,
                                    .x = p.x.at(m, k / chunk),
                                    .acc = {first, first + pitch}});
    }
  }
}

/// Columns [begin, end) of y. Each of the streams is of neighbouring rows, which the processor's own prefetching
/// follows.
void multiply_range(const FewProduct& p, std::int64_t begin, std::int64_t end) {
  const std::int64_t steps = (end - begin + kStreams - 1) / kStreams, x_rows = p.x.rows();
  Scratch scratch(Scratch::need<float>(kStreams * x_rows * p.unit.lanes) + Scratch::need<float>(kStreams * x_rows) +
                  Scratch::need<float>(x_rows * kStreams * steps));
  float* acc = scratch.get<float>(kStreams * x_rows * p.unit.lanes);
  float* sums = scratch.get<float>(kStreams * x_rows);
  float* out = scratch.get<float>(x_rows * kStreams * steps);  // (row of x, packed row)
  for (std::int64_t i = 0; i < steps; ++i) {
    const RowBytes rows[kStreams] = {p.w.bytes(begin + i), p.w.bytes(std::min(begin + steps + i, end - 1))};
    multiply_streams(p, rows, acc);
    p.unit.few_rows->reduce(acc, kStreams * x_rows, sums);
    for (std::int64_t s = 0; s < kStreams; ++s) {
      for (std::int64_t m = 0; m < x_rows; ++m) out[(m * kStreams + s) * steps + i] = sums[s * x_rows + m];
    }
  }
  for (std::int64_t m = 0; m < x_rows; ++m) {
    const float* line = out + m * kStreams * steps;
    if (p.x.fits[m]) p.unit.store(line, end - begin, p.y.at(m, begin), p.y.element, p.y.column_stride);
  }
}

}  // namespace

void multiply_few_rows(const Unit& unit, FewScheme scheme, const Matrix& x, const PackedRows& w, const Matrix& y) {
  const FewRowsUnit& few = *unit.few_rows;
  const FewRowsKernel* kernel = find_kernel(few, w.format().name);
  if (kernel == nullptr) {
    const bool fast = scheme == FewScheme::fast && unit.fast.multiply != nullptr;
    return multiply_along_integer(unit, fast ? unit.fast : unit.standard, x, w, y);
  }
  const FewRowsScheme& chosen = kernel->schemes[static_cast<int>(scheme)];
  FewActivations activations(few, chosen, x.rows, x.columns);
  activations.pack(unit, chosen, kernel->order, x);
  const std::int64_t chunks =
      std::max<std::int64_t>(1, kActivationBytes / (chosen.chunk_bytes * std::max<std::int64_t>(1, x.rows)));
  const FewProduct product{unit, chosen.multiply, chunks * few.chunk, activations, w, y};
  const std::int64_t weights = w.rows() * w.length();
  const std::int64_t most = std::min(w.rows() / kStreams + 1, weights / kLeastWeights + 1);
  const std::int64_t tasks = std::min(most, std::max<std::int64_t>(num_threads(), weights / kTaskWeights));
  parallel_for(tasks,
               [&](std::int64_t i) { multiply_range(product, w.rows() * i / tasks, w.rows() * (i + 1) / tasks); });
  std::vector<std::int64_t> exact;
  for (std::int64_t m = 0; m < x.rows; ++m) {
    if (!activations.fits[m]) exact.push_back(m);
  }
  if (!exact.empty()) multiply_along(unit, x, w, y, true, exact);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
