// Products of some rows of x with packed rows as lanes (units/lane_rows.h).
#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "backend/common/executor.h"
#include "backend/cpu/products.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/units/lane_rows.h"
#include "backend/cpu/weights_ahead.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr std::int64_t kPartTiles = 8;             // at least, so that memory is read in long runs
constexpr std::int64_t kMostParts = 4;             // of a thread's share
constexpr std::int64_t kSerialRounding = 1 << 16;  // activations that are rounded without help
constexpr std::int64_t kLeastGrouped = 5;          // rows of x that are prepared already and worth turning codes
constexpr std::int64_t kFirstBytes = 32 << 10;     // of codes that a task asks for before it prepares x

const LaneRowsKernel* find_lanes(const Unit& unit, std::string_view format) {
  if (unit.lane_rows == nullptr) return nullptr;
  const std::string_view stem = format.substr(0, format.find('-'));
  const LaneRowsKernel* end = unit.lane_rows->all + unit.lane_rows->count;
  const auto* found = std::find_if(unit.lane_rows->all, end, [&](const LaneRowsKernel& k) { return k.format == stem; });
  return found != end ? found : nullptr;
}
const LaneScheme& scheme_of(const LaneRowsKernel& kernel, FewScheme wanted) {
  return wanted == FewScheme::fast ? kernel.fast : kernel.standard;
}
const LaneScheme& scheme_of(const Unit& unit, FewScheme wanted, const PackedRows& w) {
  return scheme_of(*find_lanes(unit, w.format().name), wanted);
}

/// Rows of x packed, and whether each could be; else it is zero. Those of each chunk lie beside one another, or the
/// chunks of each row.
class LaneActivations final : public PreparedRows {
 public:
  LaneActivations(const LaneScheme& scheme, std::int64_t rows, std::int64_t length, bool by_row)
      : chunks_((length + scheme.chunk - 1) / scheme.chunk),
        bytes_(scheme.chunk_bytes),
        to_row_(by_row ? chunks_ * bytes_ : bytes_),
        to_chunk_(by_row ? bytes_ : rows * bytes_),
        memory_(Scratch::need<unsigned char>(rows * chunks_ * bytes_) + Scratch::need<bool>(rows)),
        data_(memory_.get<unsigned char>(rows * chunks_ * bytes_)),
        fits_(memory_.get<bool>(rows)) {}

  const unsigned char* data() const { return data_; }
  bool fits(std::int64_t m) const { return fits_[m]; }

  void pack(const Unit& unit, const LaneScheme& scheme, const Matrix& x, int group) {
    const std::int64_t grain = std::max<std::int64_t>(1, kSerialRounding / x.columns);
    parallel_ranges(x.rows, grain, 1, [&](std::int64_t begin, std::int64_t end) {
      Scratch own(Scratch::need<float>(x.columns));
      float* line = own.get<float>(x.columns);
      for (std::int64_t m = begin; m < end; ++m) {
        unit.load(x.at(m, 0), x.element, x.column_stride, x.columns, line);
        unsigned char* packed = data_ + m * to_row_;
        fits_[m] = scheme.pack(line, x.columns, group, to_chunk_, packed);
        for (std::int64_t c = 0; !fits_[m] && c < chunks_; ++c) {
          std::memset(packed + c * to_chunk_, 0, static_cast<std::size_t>(bytes_));
        }
      }
    });
  }
  /// The rows listed of others.
  void gather(const LaneActivations& all, std::span<const std::int64_t> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto m = static_cast<std::int64_t>(i);
      fits_[m] = all.fits_[rows[i]];
      for (std::int64_t c = 0; c < chunks_; ++c) {
        std::memcpy(data_ + m * to_row_ + c * to_chunk_, all.data_ + rows[i] * all.to_row_ + c * all.to_chunk_,
                    static_cast<std::size_t>(bytes_));
      }
    }
  }

 private:
  std::int64_t chunks_, bytes_, to_row_, to_chunk_;
  Scratch memory_;
  unsigned char* data_;
  bool* fits_;
};

/// Neighbouring tiles of packed rows by all rows of x.
class LaneTask {
 public:
  LaneTask(const LaneScheme& scheme, const LaneActivations& x, std::int64_t x_rows, const PackedRows& w,
           std::int64_t begin, std::int64_t end)
      : scheme_(scheme), x_(x), x_rows_(x_rows), w_(w), begin_(begin), end_(end) {}

  void run(const Unit& unit, const Output& y) const {
    const std::int64_t columns = end_ - begin_;
    Scratch own(Scratch::need<float>(x_rows_ * kLaneRows) + Scratch::need<float>(x_rows_ * columns));
    float* sums = own.get<float>(x_rows_ * kLaneRows);
    float* out = own.get<float>(x_rows_ * columns);
    LaneProduct product{.w = {},
                        .next = {},
                        .pitch = {},
                        .begin = w_.begin(),
                        .length = w_.length(),
                        .group = w_.format().group_size,
                        .scale = w_.bytes(0).scale,
                        .x = x_.data(),
                        .x_rows = x_rows_,
                        .sums = sums};
    for (int c = 0; c < w_.components(); ++c) product.pitch[c] = w_.pitch(c);
    for (std::int64_t n = begin_; n < end_; n += kLaneRows) {
      product.w = tile_at(n);
      product.next = tile_at(n + kLaneRows);
      scheme_.multiply(product);
      for (std::int64_t m = 0; m < x_rows_; ++m) {
        std::copy_n(sums + m * kLaneRows, product.w.rows, out + m * columns + (n - begin_));
      }
    }
    for (std::int64_t m = 0; m < x_rows_; ++m) {
      if (x_.fits(m)) y.store(unit, m, begin_, columns, out + m * columns);
    }
  }

 private:
  LaneTile tile_at(std::int64_t row) const {
    return {w_.bytes(std::min(row, end_ - 1)), std::clamp<std::int64_t>(end_ - row, 0, kLaneRows)};
  }

  const LaneScheme& scheme_;
  const LaneActivations& x_;
  const std::int64_t x_rows_;
  const PackedRows& w_;
  const std::int64_t begin_, end_;
};

/// The tiles of each task: of every thread's share (weights_ahead.h) some parts, for whoever is done first.
struct LaneParts {
  std::int64_t tiles, shares;

  std::int64_t tasks() const { return shares * parts(); }
  std::int64_t begin(std::int64_t task) const { return cut(task % shares * parts() + task / shares); }
  std::int64_t end(std::int64_t task) const { return cut(task % shares * parts() + task / shares + 1); }

 private:
  std::int64_t parts() const {
    return shares == 1 ? 1 : std::clamp<std::int64_t>(tiles / shares / kPartTiles, 1, kMostParts);
  }
  std::int64_t cut(std::int64_t part) const { return tiles * part / tasks(); }
};

/// Asks for what a task begins with while x is still prepared.
void fetch_first(const PackedRows& w) {
  for (int c = 0; c < w.components(); ++c) {
    const std::int64_t all = w.pitch(c) * kLaneRows, most = c == 0 ? kFirstBytes : kFirstBytes / 8;
    for (std::int64_t at = 0; at < std::min(all, most); at += kLine) {
      __builtin_prefetch(w.bytes(0).component[c] + at, 0, 2);
    }
  }
}

}  // namespace

bool suits_lane_rows(const Unit& unit, FewScheme wanted, const Format& format, std::int64_t rows, bool grouped) {
  const LaneRowsKernel* kernel = find_lanes(unit, format.name);
  if (kernel == nullptr) return false;
  const LaneScheme& scheme = scheme_of(*kernel, wanted);
  return rows >= (grouped ? std::min(scheme.least_rows, kLeastGrouped) : scheme.least_rows) && rows <= scheme.most_rows;
}

std::unique_ptr<const PreparedRows> prepare_lane_rows(const Unit& unit, FewScheme wanted, const Matrix& x,
                                                      const PackedRows& w) {
  const LaneScheme& scheme = scheme_of(unit, wanted, w);
  auto prepared = std::make_unique<LaneActivations>(scheme, x.rows, x.columns, true);
  prepared->pack(unit, scheme, x, w.format().group_size);
  return prepared;
}

void multiply_lane_rows(const Unit& unit, FewScheme wanted, const Matrix& x, const PackedRows& w, const Output& y,
                        std::int64_t products, const PreparedRows* prepared, std::span<const std::int64_t> numbers) {
  if (x.rows == 0 || w.rows() == 0) return;
  const LaneScheme& scheme = scheme_of(unit, wanted, w);
  if (products > 1) fetch_first(w);
  LaneActivations activations(scheme, x.rows, x.columns, false);
  if (prepared != nullptr) {
    activations.gather(static_cast<const LaneActivations&>(*prepared), numbers);
  } else {
    activations.pack(unit, scheme, x, w.format().group_size);
  }
  const LaneParts of{(w.rows() + kLaneRows - 1) / kLaneRows, products > 1 ? 1 : std::int64_t{num_threads()}};
  if (products == 1) about_to_read(w);
  parallel_for(of.tasks(), [&](std::int64_t i) {
    const std::int64_t begin = of.begin(i) * kLaneRows, end = std::min(of.end(i) * kLaneRows, w.rows());
    if (begin < end) LaneTask(scheme, activations, x.rows, w, begin, end).run(unit, y);
  });
  std::vector<std::int64_t> refused;
  for (std::int64_t m = 0; m < x.rows; ++m) {
    if (!activations.fits(m)) refused.push_back(m);
  }
  multiply_refused(unit, wanted, x, w, y, refused);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
