#include "adapters/files/weight_source.h"

#include "adapters/files/packed_pieces.h"

namespace nibble {
inline namespace v0 {
namespace files {

void WeightSource::forget(const Tensor& tensor) const {
  for (const auto& [name, piece] : stored_pieces("", tensor))
    forget({static_cast<const std::byte*>(piece.raw_data()), piece.nbytes()});
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
