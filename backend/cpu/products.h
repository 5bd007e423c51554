#pragma once

#include <cstdint>
#include <span>

#include "backend/cpu/units/few_rows.h"
#include "backend/cpu/weights.h"

/// The loops around a unit's tiles: blocking, threads and accumulation, once for every unit and format. A row of y has the same bits
/// however many threads, and, where `deterministic`, whatever the other rows.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// y = x · wᵀ in fp32, for all rows of x or for those listed.
void multiply_along(const Unit& unit, const Matrix& x, const WeightRows& w, const Matrix& y, bool deterministic,
                    std::span<const std::int64_t> only = {});

/// y = x · w in fp32.
void multiply_across(const Unit& unit, const Matrix& x, const WeightRows& w, const Matrix& y, bool deterministic);

/// The two for rows of x so few that weights pass by but once, without panels.
void multiply_along_few(const Unit& unit, const Matrix& x, const WeightRows& w, const Matrix& y);
void multiply_across_few(const Unit& unit, const Matrix& x, const WeightRows& w, const Matrix& y);

/// y = x · wᵀ with x rounded to integers; rows that the scheme cannot represent are computed in fp32.
void multiply_along_integer(const Unit& unit, const IntegerScheme& scheme, const Matrix& x, const PackedRows& w,
                            const Matrix& y);
/// The same for up to kMostFewRows rows of x, by the unit's few_rows: a row has the same bits however many there are.
void multiply_few_rows(const Unit& unit, FewScheme scheme, const Matrix& x, const PackedRows& w,
                       const Matrix& y);
inline constexpr std::int64_t kMostFewRows = 10;  // more are faster as tiles
/// Whether they can: codes and a scale and bias for each 32, 64 or 128 weights.
bool suits_integers(const Format& format);

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
