#include "backend/common/indices.h"

#include <fmt/format.h>

#include <utility>

#include "nibble/error.h"
#include "quant_tensor/tensor/values.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// Compared as what they are: the largest of u64 would be negative in i64.
template <class T>
bool resolve_as(const Tensor& indices, std::int64_t n, const std::function<std::string()>& operands,
                CachedVector<std::int64_t>& out) {
  if (indices.dtype() != dtype_of<T>) return false;
  for (const T index : values_of<T>(indices)) {
    if (std::cmp_less(index, -n) || std::cmp_greater_equal(index, n)) {
      throw Error(ErrorCode::out_of_range, fmt::format("{}: index {} of {} entries", operands(), index, n));
    }
    out.push_back(static_cast<std::int64_t>(index) + (std::cmp_less(index, 0) ? n : 0));
  }
  return true;
}

template <class... T>
bool resolve_as_any(const Tensor& indices, std::int64_t n, const std::function<std::string()>& operands,
                    CachedVector<std::int64_t>& out) {
  return (resolve_as<T>(indices, n, operands, out) || ...);
}

}  // namespace

CachedVector<std::int64_t> resolve_indices(const Tensor& indices, std::int64_t n,
                                           const std::function<std::string()>& operands) {
  CachedVector<std::int64_t> out;
  out.reserve(static_cast<std::size_t>(indices.numel()));
  const bool integers = resolve_as_any<std::int32_t, std::int64_t, std::uint32_t, std::uint64_t, std::int8_t,
                                       std::uint8_t, std::int16_t, std::uint16_t>(indices, n, operands, out);
  if (!integers) {
    throw Error(ErrorCode::dtype_mismatch,
                fmt::format("{}: indices {} must be integers", operands(), describe(indices)));
  }
  return out;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
