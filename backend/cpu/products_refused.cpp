#include <vector>

#include "backend/cpu/products.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

void multiply_refused(const Unit& unit, FewScheme scheme, const Matrix& x, const PackedRows& w, const Output& y,
                      std::span<const std::int64_t> rows) {
  if (rows.empty()) return;
  std::vector<std::int64_t> x_begins, y_begins;
  const Matrix some_x = x.part(rows, x_begins);
  const Output some_y(y.part(rows, y_begins));
  // Their bits must not depend on how many there are, which depends on the other rows.
  if (scheme == FewScheme::fast && unit.few_rows != nullptr) {
    multiply_few_rows(unit, FewScheme::standard, some_x, w, some_y, true);
  } else {
    multiply_along(unit, some_x, w, some_y, true);
  }
  if (!some_y.finite) y.finite = false;
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
