#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nibble/tensor.h"

/// Layers whose groups are not of neighbours: of each input the file says which group it is of (GPTQ's desc_act).
/// Formats have groups of neighbours, so inputs are sorted by group, and the tensor says in what order they then are.
namespace nibble {
inline namespace v0 {
namespace files {

/// Whether each run of `group` inputs is of the group of its number.
bool groups_are_neighbours(std::span<const std::int32_t> groups, std::int64_t group);

/// The inputs sorted by group, those of one as they were. Throws Error(invalid_file) for an input of no group there is,
/// Error(unsupported) where not every group has `group` inputs.
std::vector<std::int32_t> sorted_by_group(std::span<const std::int32_t> groups, std::int64_t group);

/// Of codes (K·bits/32, N), each column a stream of codes read downwards, the same with input order[j] at j.
Tensor with_inputs_in_order(const Tensor& words, std::span<const std::int32_t> order, int bits);

}  // namespace files
}  // namespace v0
}  // namespace nibble
