#include "adapters/files/pack_plan.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "adapters/files/file_error.h"
#include "adapters/files/packed_pieces.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// Modules that choose experts: a few rows, and a small error in them runs another expert.
constexpr std::array<std::string_view, 3> kRouters{".gate", ".shared_expert_gate", ".router"};

bool is_router(std::string_view module) {
  return std::ranges::any_of(kRouters, [&](std::string_view router) { return module.ends_with(router); });
}

}  // namespace

bool PackPlan::keeps(std::string_view name, const std::string& glob) {
  return fnmatch(glob.c_str(), std::string(name).c_str(), 0) == 0 ||
         fnmatch(glob.c_str(), std::string(stem_of(name)).c_str(), 0) == 0;
}

bool PackPlan::packs(const TensorInfo& tensor) const {
  const int rank = tensor.shape.rank();
  if (!tensor.name.ends_with(".weight") || rank < 2 || rank > 3 || tensor.shape.numel() == 0) return false;
  if (!tensor.packed && !is_floating(tensor.dtype)) return false;
  if (is_router(stem_of(tensor.name))) return false;
  if (tensor.shape.back() % find_format_info(format)->block != 0) return false;
  return std::none_of(keep.begin(), keep.end(), [&](const std::string& glob) { return keeps(tensor.name, glob); });
}

void PackPlan::require_keep_to_match(std::span<const TensorInfo> tensors) const {
  for (const std::string& glob : keep) {
    if (std::any_of(tensors.begin(), tensors.end(), [&](const TensorInfo& t) { return keeps(t.name, glob); })) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("[pack] keep {}: no tensor or module has such a name", shown(glob)));
  }
}

QuantizeParams PackPlan::params() const {
  const FormatInfo& info = *find_format_info(format);
  return {.bits = info.bits, .group_size = info.group_size, .format = format};
}

PackPlan make_pack_plan(const std::string& format, std::vector<std::string> keep) {
  if (!find_format_info(format)) {
    std::string known;
    for (const FormatInfo& info : formats()) known += (known.empty() ? "" : ", ") + info.name;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("[pack] format {} is unknown; there are {}", shown(format), known));
  }
  return {format, std::move(keep)};
}

TensorInfo packed_info(const PackPlan& plan, const TensorInfo& tensor, DType scale_dtype) {
  const FormatInfo& info = *find_format_info(plan.format);
  TensorInfo packed = tensor;
  packed.packed = true;
  packed.format = info.name;
  packed.dtype = scale_dtype;
  const auto weights = static_cast<std::uint64_t>(tensor.shape.numel());
  packed.bytes = weights / static_cast<std::uint64_t>(info.block) * block_bytes(info, scale_dtype);
  return packed;
}

DType packable_dtype(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16 ? dtype : DType::f32; }

}  // namespace files
}  // namespace v0
}  // namespace nibble
