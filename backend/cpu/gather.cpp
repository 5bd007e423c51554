#include <fmt/format.h>

#include <cstring>

#include "backend/cpu/codec.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/element.h"
#include "backend/cpu/strided.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

using IndexElements = TypeList<std::int32_t, std::int64_t, std::uint32_t, std::int8_t, std::uint8_t, std::int16_t,
                               std::uint16_t, std::uint64_t>;

[[noreturn]] void out_of_range(const char* op, const Tensor& in, std::int64_t index, std::int64_t n) {
  throw Error(ErrorCode::out_of_range, fmt::format("[{}] x {}: index {} of {} entries", op, describe(in), index, n));
}

/// Indices in row-major order, negative ones counted from the end. Throws before anything is written.
std::vector<std::int64_t> resolve(const char* op, const Tensor& in, const Tensor& indices, std::int64_t n) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(indices.numel()));
  visit_dtype(IndexElements{}, indices.dtype(), [&]<class T>(T) {
    const std::vector<T> values = indices.to_vector<T>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto index = static_cast<std::int64_t>(values[i]);
      if (index < -n || index >= n) out_of_range(op, in, index, n);
      out[i] = index < 0 ? index + n : index;
    }
  });
  return out;
}

template <class Word>
void gather_row(const Word* in, std::int64_t in_stride, const std::int64_t* at, std::int64_t m, Word* out) {
  for (std::int64_t j = 0; j < m; ++j) out[j] = in[at[j] * in_stride];
}

template <class Visit>
void with_word(DType dtype, Visit&& visit) {
  switch (itemsize(dtype)) {
    case 1: return visit(std::uint8_t{});
    case 2: return visit(std::uint16_t{});
    case 4: return visit(std::uint32_t{});
    default: return visit(std::uint64_t{});
  }
}

}  // namespace

void CpuBackend::take(const Tensor& in, const Tensor& indices, const Tensor& out) {
  if (in.is_quantized()) return cpu_take_packed(in, indices, out);
  const std::vector<std::int64_t> at = resolve("take", in, indices, in.shape()[0]);
  const TensorImpl& impl = in.impl();
  Shape rest = impl.shape;
  Strides strides = impl.strides;
  rest.erase(0);
  strides.erase(0);
  const std::int64_t step = impl.strides[0], width = rest.numel();
  const auto item = static_cast<std::int64_t>(itemsize(impl.dtype));
  if (is_contiguous(rest, strides)) {
    const std::byte* from = bytes_of(in);
    std::byte* to = mutable_bytes(out);
    return parallel_rows(static_cast<std::int64_t>(at.size()), width, [&](std::int64_t i) {
      std::memcpy(to + i * width * item, from + at[static_cast<std::size_t>(i)] * step * item,
                  static_cast<std::size_t>(width * item));
    });
  }
  const Strides packed = contiguous_strides(rest);
  for (std::size_t i = 0; i < at.size(); ++i) {
    copy(make_view(in, rest, strides, impl.offset + at[i] * step),
         make_view(out, rest, packed, out.impl().offset + static_cast<std::int64_t>(i) * width));
  }
}

void CpuBackend::take_along_last(const Tensor& in, const Tensor& indices, const Tensor& out) {
  const Rows from(in), to(out);
  const std::vector<std::int64_t> at = resolve("take_along_axis", in, indices, from.length);
  with_word(in.dtype(), [&]<class Word>(Word) {
    parallel_rows(to.count, to.length, [&](std::int64_t r) {
      gather_row(from.row<Word>(r), from.stride, at.data() + r * to.length, to.length, to.row<Word>(r));
    });
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
