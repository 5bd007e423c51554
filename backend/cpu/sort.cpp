#include <algorithm>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/element.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// Strict order of two elements by value, NaN after everything in both directions; equal ones by place, which makes any
/// sort stable.
template <class T>
struct Before {
  const T* x;
  std::int64_t stride;
  bool descending;

  bool operator()(std::int32_t i, std::int32_t j) const {
    const auto a = load(x[i * stride]), b = load(x[j * stride]);
    if constexpr (is_float_element<T>) {
      if (a != a || b != b) return (a != a) != (b != b) ? b != b : i < j;
    }
    if (a != b) return descending ? a > b : a < b;
    return i < j;
  }
};

/// The places of the first `order.size()` of n elements in order.
template <class T>
void order_row(const Before<T>& before, std::int64_t n, std::int64_t k, std::vector<std::int32_t>& order) {
  order.resize(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (k < n) {
    std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
  } else {
    std::sort(order.begin(), order.end(), before);
  }
}

}  // namespace

void CpuBackend::sort(const Tensor& in, bool descending, const Tensor& values, const Tensor& indices) {
  const Rows from(in), to(values.defined() ? values : indices);
  visit_dtype(ArithmeticElements{}, in.dtype(), [&]<class T>(T) {
    T* sorted = values.defined() ? mutable_data<T>(values) : nullptr;
    std::int32_t* places = indices.defined() ? mutable_data<std::int32_t>(indices) : nullptr;
    parallel_rows(from.count, 16 * from.length, [&](std::int64_t r) {
      thread_local std::vector<std::int32_t> order;
      const T* x = from.row<T>(r);
      order_row(Before<T>{x, from.stride, descending}, from.length, to.length, order);
      for (std::int64_t i = 0; i < to.length; ++i) {
        const std::int32_t place = order[static_cast<std::size_t>(i)];
        if (sorted) sorted[r * to.length + i] = x[place * from.stride];
        if (places) places[r * to.length + i] = place;
      }
    });
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
