#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// Which tensors of a model are packed, and how. Decided by name and shape alone, so that any architecture will do.
struct PackPlan {
  std::string format;             ///< "affine4-g64"
  std::vector<std::string> keep;  ///< globs of tensor names or module paths that stay as they are
  /// Globs of those that get another format; of several that fit, the longest counts.
  std::map<std::string, std::string> modules = {};

  /// Every format that it names.
  std::vector<std::string*> formats();
  const std::string& format_of(std::string_view name) const;

  /// Whether the plan packs this tensor: a floating `….weight` of two or three axes whose last one the group divides (a
  /// linear layer, an embedding, a stack of experts), not named in `keep` and not the router of a mixture of experts.
  bool packs(const TensorInfo& tensor) const;
  /// The format that the tensor gets: null where it stays as it is.
  const FormatInfo* becomes(const TensorInfo& tensor) const;
  /// Throws Error(invalid_argument) for a glob that names nothing: a slip of the pen would pack what should stay.
  void require_globs_to_match(std::span<const TensorInfo> tensors) const;

 private:
  static bool fits(std::string_view name, const std::string& glob);
};

/// Names of formats in either case, with '-' or '_'. Throws Error(invalid_argument) for one that cannot be made.
PackPlan make_pack_plan(const std::string& format, std::vector<std::string> keep = {});

/// Reads an object of globs, each with the name of a format, or false: to be kept. Throws Error(invalid_file |
/// invalid_argument).
void read_modules(const std::filesystem::path& file, PackPlan* plan);

/// What `tensor` is once the plan has packed it, with scales of `scale_dtype`.
TensorInfo packed_info(const PackPlan& plan, const TensorInfo& tensor, DType scale_dtype);
/// f32, f16 and bf16 stay; other floats become f32: the dtypes that can be packed.
DType packable_dtype(DType dtype);

}  // namespace files
}  // namespace v0
}  // namespace nibble
