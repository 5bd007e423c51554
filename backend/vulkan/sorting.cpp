#include <algorithm>
#include <bit>

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

constexpr std::uint32_t kBlock = 1024;  // as in sort.glsl

/// The arguments of shaders/sort.glsl.
struct SortArguments {
  std::uint64_t keys = 0, places = 0;
  std::uint32_t count = 0, row = 0, first = 0, last = 0, step = 0, pad = 0;
};
static_assert(sizeof(SortArguments) <= kPushBytes);

/// The same rows, of which entries [begin, end) along the last axis are seen.
Tensor part_of_rows(const Tensor& rows, std::int64_t begin, std::int64_t end) {
  Shape shape = rows.shape();
  shape[rows.ndim() - 1] = end - begin;
  return make_view(rows, shape, rows.impl().strides, rows.impl().offset + begin);
}

}  // namespace

void VulkanBackend::sort(const Tensor& in, bool descending, const Tensor& values, const Tensor& indices) {
  const Tensor& some = values.defined() ? values : indices;
  if (some.numel() == 0) return;
  const int last = in.ndim() - 1;
  const std::int64_t length = in.shape()[last];
  const auto width = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(length)));
  Shape padded = in.shape();
  padded[last] = width;
  if (padded.numel() > (std::int64_t{1} << 30)) return HostFallback::sort(in, descending, values, indices);

  // Keys in order, and where they come from; rows filled up with what stays behind.
  const Tensor keys = allocate(padded, DType::u64), places = allocate(padded, DType::i32);
  each_element({"order", kElementWorkgroup, {number(in.dtype()), descending}}, in.shape(),
               {in, part_of_rows(keys, 0, length)}, keys);
  each_element({"fill", kElementWorkgroup, {number(DType::u64)}}, part_of_rows(keys, length, width).shape(),
               {part_of_rows(keys, length, width)}, keys, {~0u, ~0u, 0, 0});
  const Tensor numbers = allocate({width}, DType::i32);
  arange(numbers, 0, 1);
  Strides along = Shape::filled(padded.rank(), 0);
  along[last] = 1;
  copy(make_view(numbers, padded, along, 0), places);

  SortArguments args{address_of(keys), address_of(places), static_cast<std::uint32_t>(padded.numel()),
                     static_cast<std::uint32_t>(width)};
  const Tensor both[] = {keys, places};
  const auto run = [&](bool within_block, std::uint32_t first, std::uint32_t upto, std::uint32_t step) {
    args.first = first;
    args.last = upto;
    args.step = step;
    const std::uint64_t groups = within_block ? (args.count + kBlock - 1) / kBlock : workgroups(args.count / 2);
    context_.dispatch({"sort", kElementWorkgroup, {within_block}}, std::as_bytes(std::span(&args, 1)),
                      context_.spread(groups), both, both);
  };
  run(true, 2, std::min(args.row, kBlock), 0);
  for (std::uint32_t merge = 2 * kBlock; merge <= args.row; merge *= 2) {
    for (std::uint32_t step = merge / 2; step >= kBlock; step /= 2) run(false, merge, merge, step);
    run(true, merge, merge, 0);
  }
  const Tensor wanted = part_of_rows(places, 0, some.shape()[last]);
  if (indices.defined()) copy(wanted, indices);
  if (values.defined()) take_along_last(in, wanted, values);
}

}  // namespace nibble::inline v0::detail::vulkan
