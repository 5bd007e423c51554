#include "adapters/files/sorted_groups.h"

#include <fmt/format.h>

#include <algorithm>

#include "adapters/files/zero_points.h"

namespace nibble {
inline namespace v0 {
namespace files {

bool groups_are_neighbours(std::span<const std::int32_t> groups, std::int64_t group) {
  for (std::size_t k = 0; k < groups.size(); ++k) {
    if (groups[k] != static_cast<std::int64_t>(k) / group) return false;
  }
  return true;
}

std::vector<std::int32_t> sorted_by_group(std::span<const std::int32_t> groups, std::int64_t group) {
  const auto size = static_cast<std::size_t>(group), count = groups.size() / size;
  std::vector<std::size_t> filled(count, 0);
  std::vector<std::int32_t> order(groups.size());
  for (std::size_t k = 0; k < groups.size(); ++k) {
    const auto of = static_cast<std::size_t>(groups[k]);
    if (groups[k] < 0 || of >= count)
      broken_rule(ErrorCode::invalid_file,
                  fmt::format("input {} is of group {} (g_idx), and there are {}", k, groups[k], count));
    if (filled[of] == size)
      broken_rule(
          ErrorCode::unsupported,
          fmt::format("group {} has more than {} inputs (g_idx): groups of several sizes are not supported", of, size));
    order[of * size + filled[of]++] = static_cast<std::int32_t>(k);
  }
  return order;
}

Tensor with_inputs_in_order(const Tensor& words, std::span<const std::int32_t> order, int bits) {
  const Tensor source = as_words(words);
  const auto columns = static_cast<std::size_t>(source.size(1)), wide = static_cast<std::size_t>(bits);
  const auto* in = static_cast<const std::uint32_t*>(source.raw_data());
  std::vector<std::uint32_t> out(static_cast<std::size_t>(source.numel()));
  const std::uint32_t mask = (1u << bits) - 1;
  for (std::size_t j = 0; j < order.size(); ++j) {
    const std::size_t from = static_cast<std::size_t>(order[j]) * wide, to = j * wide;
    const std::size_t right = from % 32, left = to % 32;
    const std::uint32_t *low = in + from / 32 * columns, *high = right + wide > 32 ? low + columns : nullptr;
    std::uint32_t* first = out.data() + to / 32 * columns;
    std::uint32_t* second = left + wide > 32 ? first + columns : nullptr;
    for (std::size_t n = 0; n < columns; ++n) {
      std::uint32_t code = low[n] >> right;
      if (high) code |= high[n] << (32 - right);
      code &= mask;
      first[n] |= code << left;
      if (second) second[n] |= code >> (32 - left);
    }
  }
  return from_data<std::uint32_t>(out, source.shape());
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
