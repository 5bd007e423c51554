#include "adapters/files/weight_source.h"

#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {

void WeightSource::forget(const Tensor& tensor) const {
  const auto let_go = [&](const Tensor& piece) {
    forget({static_cast<const std::byte*>(piece.raw_data()), piece.nbytes()});
  };
  if (!tensor.is_quantized()) return let_go(tensor);
  for (const auto& [name, piece] : packing_of(tensor).components) let_go(piece);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
