#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "nibble/tensor.h"
#include "quant_tensor/tensor/cached.h"

namespace nibble {
inline namespace v0 {
namespace detail {
struct Format;
}

inline constexpr int kMaxComponents = 4;

/// How a tensor is packed: the format, which axis of the shape runs along the packed rows, and the named buffers.
/// Each component is a dense, contiguous tensor (rows…, width) of which packed row r owns line r.
struct Packing {
  const detail::Format* format = nullptr;
  int axis = 0;                 ///< of the tensor's shape
  std::int64_t begin = 0;       ///< first weight of the view along the packed axis; a multiple of the format's block
  std::int64_t row_length = 0;  ///< weights of a whole stored row
  detail::CachedVector<Tensor> components;  ///< in the order of format->components
  /// Where rows are stored in another order than that of the axis: stored weight j is entry input_order[j] of it, and
  /// entry k is stored weight input_places[k]; both i32 (row_length,), on the components' device. Undefined where the
  /// two are one. A view covers such rows whole. No kernel takes them: dispatch permutes the other operand.
  Tensor input_order, input_places;
};

}  // namespace v0
}  // namespace nibble
