#pragma once

#include "backend/cpu/weights.h"

/// Between two products of a model memory would rest while one thread does small operations. Products follow one
/// another in the same order for every token, so the threads that wait ask for the weights that are likely to be next.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// Tells that a product of few rows is about to read all of `w`. What followed it the last two times is what the pool's
/// waiting threads then ask memory for, each a share of it, into its second cache. A wrong guess costs some reading;
/// a weight that is gone costs no more, since nobody looks at what lies there.
void about_to_read(const PackedRows& w);

/// Tells that it has, and by which tensor the caller holds the weight: a product first looks at what describes its
/// weight, one object leading to the next, and from one token to the next weights have driven all of that out of the
/// caches. What describes the weight that is expected is asked for here, at once, by the thread that will look at it.
void have_read(const PackedRows& w, const Tensor& held);

/// Where the weight begins that waiting threads ask for; null where none is expected. For tests.
const unsigned char* expected_weight();
/// The first of the objects that describe it, its tensor; null where none is known.
const void* expected_tensor();

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
