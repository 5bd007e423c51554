#include "dispatch/fallback.h"

#include <fmt/format.h>

#include "backend/common/backend.h"
#include "dispatch/input_order.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "quant_tensor/tensor/alignment.h"
#include "quant_tensor/tensor/counters.h"

namespace nibble {
inline namespace v0 {
namespace detail {

void count_fallback(std::string_view op, const Tensor& packed, std::uint64_t bytes) {
  if (options().fallback == Fallback::error) {
    throw Error(
        ErrorCode::fallback_forbidden,
        fmt::format("[{}] {}: no packed kernel, and Fallback::error forbids decoding it", op, describe(packed)));
  }
  count(counters().bytes_dequantized, bytes);
}

namespace {

Tensor aligned(const Tensor& t) {
  if (is_aligned(t)) return t;
  count(counters().bytes_copied, t.nbytes());
  Backend& backend = backend_for(t.device());
  Tensor out = backend.allocate(t.shape(), t.dtype());
  backend.copy(t, out);
  return out;
}

}  // namespace

Tensor dense_operand(std::string_view op, const Tensor& t, std::optional<DType> dtype) {
  if (!t.is_quantized()) return aligned(t);
  const DType target = dtype.value_or(t.dtype());
  Backend& backend = backend_for(t.device());
  count_fallback(op, t, static_cast<std::uint64_t>(t.numel()) * itemsize(target));
  Tensor out = backend.allocate(t.shape(), target);
  decode_into(t, out);
  return out;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
