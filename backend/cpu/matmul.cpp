#include "backend/cpu/matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "backend/cpu/products.h"
#include "backend/cpu/units/select.h"
#include "backend/cpu/weights_ahead.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

bool is_dense(const Unit&, const MatmulQuery& q) { return q.format == nullptr && is_arithmetic_float(q.dense_dtype); }
bool is_packed(const Unit&, const MatmulQuery& q) { return q.format != nullptr; }

Matrix x_of(const MatmulArgs& args) { return Matrix(args.x, args.x_rows); }
Output y_of(const MatmulArgs& args) { return Output(args.y, args.y_rows); }

bool nothing_to_sum(const MatmulArgs& args) {
  if (args.x.size(1) > 0) return false;
  const Output y = y_of(args);
  for (std::int64_t m = 0; m < y.rows; ++m) {
    // Zero is all bits zero in each of the three dtypes.
    for (std::int64_t n = 0; n < y.columns; ++n) std::fill_n(y.at(m, n), y.size, std::byte{0});
  }
  return true;
}

void dense(const Unit& unit, const MatmulArgs& args, Orientation orientation) {
  if (nothing_to_sum(args)) return;
  const Matrix x = x_of(args);
  const Output y = y_of(args);
  Matrix w(args.w);
  // Whichever way round reads w along its memory.
  if (w.column_stride != 1 && w.row_stride == 1) {
    std::swap(w.rows, w.columns);
    std::swap(w.row_stride, w.column_stride);
    orientation = orientation == Orientation::along ? Orientation::across : Orientation::along;
  }
  const DenseRows rows(unit, w);
  if (orientation == Orientation::along) {
    multiply_along(unit, x, rows, y, args.deterministic);
  } else {
    multiply_across(unit, x, rows, y, args.deterministic);
  }
}
void dense_along(const Unit& unit, const MatmulArgs& args) { dense(unit, args, Orientation::along); }
void dense_across(const Unit& unit, const MatmulArgs& args) { dense(unit, args, Orientation::across); }

/// The operands of a product with packed weights.
struct PackedOperands {
  PackedOperands(const Unit& unit, const MatmulArgs& args) : x(x_of(args)), w(unit, args.w), y(y_of(args)) {}
  Matrix x;
  PackedRows w;
  Output y;
};

/// Every product along packed weights: multiply(operands), and what any of them leaves to be mended.
template <class Multiply>
void along_packed(const Unit& unit, const MatmulArgs& args, Multiply multiply) {
  if (nothing_to_sum(args)) return;
  const PackedOperands o(unit, args);
  multiply(o);
  mend_along(unit, o.x, o.w, o.y);
}

void packed_along(const Unit& unit, const MatmulArgs& args) {
  along_packed(unit, args, [&](const PackedOperands& o) { multiply_along(unit, o.x, o.w, o.y, args.deterministic); });
}
void packed_across(const Unit& unit, const MatmulArgs& args) {
  if (nothing_to_sum(args)) return;
  const PackedOperands o(unit, args);
  multiply_across(unit, o.x, o.w, o.y, args.deterministic);
  mend_across(unit, o.x, o.w, o.y);
}

template <IntegerScheme MatrixIntegers::*scheme>
void matrices_along(const Unit& unit, const MatmulArgs& args) {
  along_packed(unit, args,
               [&](const PackedOperands& o) { multiply_along_integer(unit, unit.matrices->*scheme, o.x, o.w, o.y); });
}

template <IntegerScheme Unit::*scheme>
void affine_along(const Unit& unit, const MatmulArgs& args) {
  along_packed(unit, args, [&](const PackedOperands& o) { multiply_along_integer(unit, unit.*scheme, o.x, o.w, o.y); });
}

template <FewScheme scheme>
void few_along(const Unit& unit, const MatmulArgs& args) {
  along_packed(unit, args, [&](const PackedOperands& o) {
    multiply_few_rows(unit, scheme, o.x, o.w, o.y, args.deterministic, args.products);
    if (args.kept != nullptr) have_read(o.w, *args.kept);
  });
}

template <FewScheme scheme>
void lanes_along(const Unit& unit, const MatmulArgs& args) {
  along_packed(unit, args, [&](const PackedOperands& o) {
    multiply_lane_rows(unit, scheme, o.x, o.w, o.y, args.products, args.prepared, args.prepared_rows);
    if (args.kept != nullptr) have_read(o.w, *args.kept);
  });
}
template <FewScheme scheme>
std::unique_ptr<const PreparedRows> prepare_lanes(const Unit& unit, const MatmulArgs& args) {
  return args.x.size(1) == 0 ? nullptr : prepare_lane_rows(unit, scheme, x_of(args), PackedRows(unit, args.w));
}

template <Precision precision, Orientation orientation, bool (*kind)(const Unit&, const MatmulQuery&)>
bool supports(const Unit& unit, const MatmulQuery& q) {
  return precision <= q.precision && q.orientation == orientation && kind(unit, q);
}
bool is_affine(const Unit&, const MatmulQuery& q) { return q.format != nullptr && suits_integers(*q.format); }
/// Many rows are faster as tiles, which add up in another order. Those of names are tiles of fp32, while few rows at
/// fast meet bytes.
bool is_few(const Unit& unit, const MatmulQuery& q) {
  if (q.format == nullptr || !suits_few_rows(*unit.few_rows, *q.format)) return false;
  const bool names =
      q.precision == Precision::fast && q.format->family == Family::codebook && !suits_integers(*q.format);
  return q.deterministic || q.rows <= (names ? unit.few_rows->most_named_rows : unit.few_rows->most_rows);
}

/// They add up in another order than a row alone. Where fast is asked for and its rows are others, tiles are faster
/// than those of standard.
template <FewScheme scheme>
bool is_for_lanes(const Unit& unit, const MatmulQuery& q) {
  const bool as_asked = scheme == FewScheme::fast || q.precision != Precision::fast;
  return as_asked && q.format != nullptr && !q.deterministic &&
         suits_lane_rows(unit, scheme, *q.format, q.rows, q.grouped);
}

bool has_fast(const Unit& unit) { return unit.fast.multiply != nullptr; }
bool has_few_rows(const Unit& unit) { return unit.few_rows != nullptr; }
bool has_lane_rows(const Unit& unit) { return unit.lane_rows != nullptr; }
bool has_matrices(const Unit& unit) { return unit.matrices != nullptr && unit.matrices->runs_here(); }

constexpr auto kExact = Precision::exact;
constexpr auto kStandard = Precision::standard;
constexpr auto kFast = Precision::fast;
constexpr auto kAlong = Orientation::along;
constexpr auto kAcross = Orientation::across;

/// A row that every unit has; its functions take the unit.
struct KernelRow {
  std::string_view name;  ///< the unit's name follows it
  Precision precision;
  int priority;
  bool (*supports)(const Unit& unit, const MatmulQuery& query);
  void (*run)(const Unit& unit, const MatmulArgs& args);
  /// Whether the unit has it; null: every unit does.
  bool (*available)(const Unit& unit) = nullptr;
  std::unique_ptr<const PreparedRows> (*prepare)(const Unit& unit, const MatmulArgs& args) = nullptr;
};
constexpr KernelRow kRows[] = {
    {"lanes_fast", kFast, 70, supports<kFast, kAlong, is_for_lanes<FewScheme::fast>>, lanes_along<FewScheme::fast>,
     has_lane_rows, prepare_lanes<FewScheme::fast>},
    {"few_fast", kFast, 60, supports<kFast, kAlong, is_few>, few_along<FewScheme::fast>, has_few_rows},
    {"lanes_standard", kStandard, 55, supports<kStandard, kAlong, is_for_lanes<FewScheme::standard>>,
     lanes_along<FewScheme::standard>, has_lane_rows, prepare_lanes<FewScheme::standard>},
    {"few_standard", kStandard, 50, supports<kStandard, kAlong, is_few>, few_along<FewScheme::standard>, has_few_rows},
    {"along_affine_matrices_fast", kFast, 45, supports<kFast, kAlong, is_affine>, matrices_along<&MatrixIntegers::fast>,
     has_matrices},
    {"along_affine_fast", kFast, 40, supports<kFast, kAlong, is_affine>, affine_along<&Unit::fast>, has_fast},
    {"along_affine_matrices_standard", kStandard, 35, supports<kStandard, kAlong, is_affine>,
     matrices_along<&MatrixIntegers::standard>, has_matrices},
    {"along_affine_standard", kStandard, 30, supports<kStandard, kAlong, is_affine>, affine_along<&Unit::standard>},
    {"along_packed_exact", kExact, 10, supports<kExact, kAlong, is_packed>, packed_along},
    {"across_packed_exact", kExact, 10, supports<kExact, kAcross, is_packed>, packed_across},
    {"along_dense_exact", kExact, 10, supports<kExact, kAlong, is_dense>, dense_along},
    {"across_dense_exact", kExact, 10, supports<kExact, kAcross, is_dense>, dense_across},
};

}  // namespace

std::vector<MatmulKernel> kernels_of(const Unit& unit) {
  std::vector<MatmulKernel> kernels;
  for (const KernelRow& row : kRows) {
    if (row.available != nullptr && !row.available(unit)) continue;
    kernels.push_back({fmt::format("{}_{}", row.name, unit.name), row.precision, row.priority,
                       [&row, &unit](const MatmulQuery& query) { return row.supports(unit, query); },
                       [&row, &unit](const MatmulArgs& args) { row.run(unit, args); }});
    if (row.prepare == nullptr) continue;
    kernels.back().prepare = [&row, &unit](const MatmulArgs& args) { return row.prepare(unit, args); };
  }
  return kernels;
}

}  // namespace cpu

std::span<const MatmulKernel> cpu_matmul_kernels() {
  static const std::vector<MatmulKernel> kernels = cpu::kernels_of(cpu::current_unit());
  return kernels;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
