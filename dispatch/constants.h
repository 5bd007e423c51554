#pragma once

#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Whether nothing that holds the tensor can change it: packed weights, and memory that is not ours to write.
bool is_constant(const Tensor& t);
/// A constant's copy on another device, which stays there for the next time: see nibble/transfer.h.
Tensor copy_on(Device device, const Tensor& constant);

/// To be called before a packed tensor is written in place: its copies are none any more.
void forget_copies(const Tensor& packed);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
