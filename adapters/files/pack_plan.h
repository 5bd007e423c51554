#pragma once

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

  /// Whether the plan packs this tensor: a floating `….weight` of two or three axes whose last one the group divides (a
  /// linear layer, an embedding, a stack of experts), not named in `keep` and not the router of a mixture of experts.
  bool packs(const TensorInfo& tensor) const;
  /// Throws Error(invalid_argument) for a glob of `keep` that names nothing: a slip of the pen would pack what should
  /// stay.
  void require_keep_to_match(std::span<const TensorInfo> tensors) const;
  QuantizeParams params() const;

 private:
  static bool keeps(std::string_view name, const std::string& glob);
};

/// Throws Error(invalid_argument) for a format that cannot be made.
PackPlan make_pack_plan(const std::string& format, std::vector<std::string> keep = {});

/// What `tensor` is once the plan has packed it, with scales of `scale_dtype`.
TensorInfo packed_info(const PackPlan& plan, const TensorInfo& tensor, DType scale_dtype);
/// f32, f16 and bf16 stay; other floats become f32: the dtypes that can be packed.
DType packable_dtype(DType dtype);

}  // namespace files
}  // namespace v0
}  // namespace nibble
