#pragma once

#include <asm/hwcap.h>
#include <sys/auxv.h>

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

// What the kernel says of an Arm processor. Static, because units of several instruction sets compile them.

static inline bool has_dot_products() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
static inline bool has_matrix_products() { return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
static inline bool has_bf16_products() { return (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0; }

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
