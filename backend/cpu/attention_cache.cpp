#include "backend/cpu/attention_cache.h"

#include <algorithm>

#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

CacheElement dense_element(DType dtype) {
  return dtype == DType::f32 ? CacheElement::f32 : dtype == DType::f16 ? CacheElement::f16 : CacheElement::bf16;
}

std::int64_t row_bytes(const Packing& packing) {
  return packing.format->width(0, packing.row_length) *
         static_cast<std::int64_t>(itemsize(packing.components[0].dtype()));
}

}  // namespace

AttentionCache::AttentionCache(const Unit& unit, const Tensor& t) : unit_(unit), t_(t), length_(t.size(3)) {
  if (t.is_quantized())
    packed_.emplace(unit, *t.packing(), t.numel() / std::max<std::int64_t>(1, length_), length_, 0, 1);
}

std::int64_t AttentionCache::place(std::int64_t b, std::int64_t h, std::int64_t i) const {
  const TensorImpl& impl = t_.impl();
  return impl.offset + b * impl.strides[0] + h * impl.strides[1] + i * impl.strides[2];
}

std::optional<CacheElement> AttentionCache::in_vectors(std::int64_t lanes) const {
  if (length_ % lanes != 0) return std::nullopt;
  if (packed_) return packed_->format().signed_bytes ? std::optional(CacheElement::q8_0) : std::nullopt;
  return t_.impl().strides[3] == 1 ? std::optional(dense_element(t_.dtype())) : std::nullopt;
}

bool AttentionCache::in_words(int step) const {
  if (packed_ || t_.impl().strides[3] != 1) return false;
  if (step == 1) return t_.dtype() == DType::f32;
  const Strides& stride = t_.impl().strides;
  const bool even = length_ % 2 == 0 && stride[0] % 2 == 0 && stride[1] % 2 == 0 && stride[2] % 2 == 0;
  return t_.dtype() == DType::bf16 && even && reinterpret_cast<std::uintptr_t>(bytes_of(t_)) % 4 == 0;
}

CacheRows AttentionCache::rows(std::int64_t b, std::int64_t h, std::int64_t begin) const {
  const std::byte* data;
  std::int64_t size;
  if (packed_) {
    const Packing& packing = *t_.packing();
    size = row_bytes(packing);
    data = bytes_of(packing.components[0]) + packing.format->width(0, packing.begin);
  } else {
    size = static_cast<std::int64_t>(itemsize(t_.dtype()));
    data = t_.impl().storage->data();
  }
  return {reinterpret_cast<const unsigned char*>(data) + place(b, h, begin) * size, t_.impl().strides[2] * size};
}

void AttentionCache::read(std::int64_t b, std::int64_t h, std::int64_t i, float* out, std::int64_t pitch) const {
  if (packed_) {
    const std::int64_t chunk = kChunk / packed_->cut() * packed_->cut(), row = place(b, h, i);
    for (std::int64_t d = 0; d < length_; d += chunk) packed_->values(row, d, std::min(chunk, length_ - d), out + d);
  } else {
    const std::byte* row = t_.impl().storage->data() + place(b, h, i) * static_cast<std::int64_t>(itemsize(t_.dtype()));
    unit_.load(row, element_of(t_.dtype()), t_.impl().strides[3], length_, out);
  }
  std::fill(out + length_, out + pitch, 0.0f);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
