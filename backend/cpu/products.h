#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "backend/common/matmul_kernel.h"
#include "backend/cpu/output.h"
#include "backend/cpu/units/few_rows.h"
#include "backend/cpu/weights.h"

/// The loops around a unit's tiles: blocking, threads and accumulation, once for every unit and format. A row of y has
/// the same bits however many threads, and, where `deterministic`, whatever the other rows.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// y = x · wᵀ in fp32, for all rows of x or for those listed.
void multiply_along(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y, bool deterministic,
                    std::span<const std::int64_t> only = {});

/// y = x · w in fp32.
void multiply_across(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y, bool deterministic);

/// The two for rows of x so few that weights pass by but once, without panels.
void multiply_along_few(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y);
void multiply_across_few(const Unit& unit, const Matrix& x, const WeightRows& w, const Output& y);

/// y = x · wᵀ with x rounded to integers; rows that the scheme does not represent well enough take a more precise path.
void multiply_along_integer(const Unit& unit, const IntegerScheme& scheme, const Matrix& x, const PackedRows& w,
                            const Output& y);
/// Whether that can be: codes, and a scale and bias for each 16, 32, 64, 128 or 256 weights.
bool suits_integers(const Format& format);
/// The same by the unit's few_rows, one of `products` that share the threads. If `deterministic`, a row of x has the
/// same bits however many there are.
void multiply_few_rows(const Unit& unit, FewScheme scheme, const Matrix& x, const PackedRows& w, const Output& y,
                       bool deterministic, std::int64_t products = 1);
/// Whether that can be: a kernel of the unit's own, or codes that tiles of integers take.
bool suits_few_rows(const FewRowsUnit& few, const Format& format);
/// The same by the unit's lane_rows. `prepared`: its rows listed in `numbers` are those of x.
void multiply_lane_rows(const Unit& unit, FewScheme scheme, const Matrix& x, const PackedRows& w, const Output& y,
                        std::int64_t products, const PreparedRows* prepared, std::span<const std::int64_t> numbers);
std::unique_ptr<const PreparedRows> prepare_lane_rows(const Unit& unit, FewScheme scheme, const Matrix& x,
                                                      const PackedRows& w);
/// Whether they have the format, and are fastest for so many rows of x; `grouped`: which may be prepared already.
bool suits_lane_rows(const Unit& unit, FewScheme scheme, const Format& format, std::int64_t rows, bool grouped);
/// The rows listed, which `scheme` does not represent well enough, by the next more precise path.
void multiply_refused(const Unit& unit, FewScheme scheme, const Matrix& x, const PackedRows& w, const Output& y,
                      std::span<const std::int64_t> rows);
/// What follows a product with packed weights: sums that scales which are infinite or NaN have gone into become those
/// of the format's own decode.
void mend_along(const Unit& unit, const Matrix& x, const PackedRows& w, const Output& y);
void mend_across(const Unit& unit, const Matrix& x, const PackedRows& w, const Output& y);

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
