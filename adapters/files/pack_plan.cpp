#include "adapters/files/pack_plan.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/mapped_file.h"
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

bool PackPlan::fits(std::string_view name, const std::string& glob) {
  return fnmatch(glob.c_str(), std::string(name).c_str(), 0) == 0 ||
         fnmatch(glob.c_str(), std::string(stem_of(name)).c_str(), 0) == 0;
}

bool PackPlan::packs(const TensorInfo& tensor) const {
  const int rank = tensor.shape.rank();
  if (!tensor.name.ends_with(".weight") || rank < 2 || rank > 3 || tensor.shape.numel() == 0) return false;
  if (!tensor.packed && !is_floating(tensor.dtype)) return false;
  if (is_router(stem_of(tensor.name))) return false;
  if (tensor.shape.back() % find_format_info(format_of(tensor.name))->block != 0) return false;
  return std::none_of(keep.begin(), keep.end(), [&](const std::string& glob) { return fits(tensor.name, glob); });
}

const FormatInfo* PackPlan::becomes(const TensorInfo& tensor) const {
  const std::string& wanted = format_of(tensor.name);
  return packs(tensor) && (tensor.format != wanted || tensor.reordered || tensor.transposed) ? find_format_info(wanted)
                                                                                             : nullptr;
}

std::vector<std::string*> PackPlan::formats() {
  std::vector<std::string*> all{&format};
  for (auto& [glob, other] : modules) all.push_back(&other);
  return all;
}

const std::string& PackPlan::format_of(std::string_view name) const {
  const std::pair<const std::string, std::string>* best = nullptr;
  for (const auto& module : modules) {
    if (fits(name, module.first) && (!best || module.first.size() > best->first.size())) best = &module;
  }
  return best ? best->second : format;
}

void PackPlan::require_globs_to_match(std::span<const TensorInfo> tensors) const {
  std::vector<std::string> globs = keep;
  for (const auto& [glob, other] : modules) globs.push_back(glob);
  for (const std::string& glob : globs) {
    if (std::any_of(tensors.begin(), tensors.end(), [&](const TensorInfo& t) { return fits(t.name, glob); })) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("[pack] {}: no tensor or module has such a name", shown(glob)));
  }
}

namespace {

const FormatInfo& required_format(const std::string& format) {
  if (const FormatInfo* info = find_format_info(format)) return *info;
  std::string known;
  for (const FormatInfo& info : formats()) known += (known.empty() ? "" : ", ") + info.name;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("[pack] format {} is unknown; there are {}", shown(format), known));
}

}  // namespace

PackPlan make_pack_plan(const std::string& format, std::vector<std::string> keep) {
  return {required_format(format).name, std::move(keep)};
}

void read_modules(const std::filesystem::path& file, PackPlan* plan) {
  const nlohmann::json modules = parse_small_json(read_small_file(file, kSmallJson), file);
  if (!modules.is_object()) bad_file(file, "", "is not an object");
  for (const auto& [glob, format] : modules.items()) {
    if (format.is_boolean() && !format.get<bool>()) {
      plan->keep.push_back(glob);
    } else if (format.is_string()) {
      plan->modules[glob] = required_format(format.get<std::string>()).name;
    } else {
      bad_file(file, glob, "is neither the name of a format nor false");
    }
  }
}

TensorInfo packed_info(const PackPlan& plan, const TensorInfo& tensor, DType scale_dtype) {
  const FormatInfo& info = *find_format_info(plan.format_of(tensor.name));
  TensorInfo packed = tensor;
  packed.packed = true;
  packed.format = info.name;
  packed.dtype = scale_dtype;
  const auto weights = static_cast<std::uint64_t>(tensor.shape.numel());
  packed.bytes = weights / static_cast<std::uint64_t>(info.block) * block_bytes(info, scale_dtype);
  return packed;
}

DType packable_dtype(DType dtype) { return is_arithmetic_float(dtype) ? dtype : DType::f32; }

}  // namespace files
}  // namespace v0
}  // namespace nibble
