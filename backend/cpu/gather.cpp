#include <fmt/format.h>

#include <cstring>

#include "backend/common/indices.h"
#include "backend/cpu/codec.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/element.h"
#include "backend/cpu/strided.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// How messages about the indices of `op` begin.
auto operands(const char* op, const Tensor& in) {
  return [op, &in] { return fmt::format("[{}] x {}", op, describe(in)); };
}

template <class Word>
void gather_row(const Word* in, std::int64_t in_stride, const std::int64_t* at, std::int64_t m, Word* out) {
  for (std::int64_t j = 0; j < m; ++j) out[j] = in[at[j] * in_stride];
}

}  // namespace

void CpuBackend::take(const Tensor& in, const Tensor& indices, const Tensor& out) {
  const auto at = resolve_indices(indices, in.shape()[0], operands("take", in));
  if (in.is_quantized()) return cpu_take_packed(in, at, out);
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
  // Where all rows have the same indices, they are read once.
  const TensorImpl& impl = indices.impl();
  const int last = impl.shape.rank() - 1;
  bool is_one = true;
  for (int a = 0; a < last; ++a) is_one = is_one && (impl.strides[a] == 0 || impl.shape[a] == 1);
  const Tensor one = is_one ? make_view(indices, {impl.shape[last]}, {impl.strides[last]}, impl.offset) : indices;
  const auto at = resolve_indices(one, from.length, operands("take_along_axis", in));
  const std::int64_t pitch = is_one ? 0 : to.length;
  with_word(in.dtype(), [&]<class Word>(Word) {
    parallel_rows(to.count, to.length, [&](std::int64_t r) {
      gather_row(from.row<Word>(r), from.stride, at.data() + r * pitch, to.length, to.row<Word>(r));
    });
  });
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
