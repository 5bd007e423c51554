#pragma once

#include "adapters/files/checkpoint.h"
#include "adapters/files/gguf.h"
#include "adapters/files/pack_plan.h"
#include "adapters/files/weight_source.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// What this room's writers need of a checkpoint beyond what it shows everybody.
struct CheckpointAccess {
  static const WeightSource& source(const Checkpoint& checkpoint);
  static const GgufFile* gguf(const Checkpoint& checkpoint);  ///< null for a folder
  /// Whether its folder is packed by another method than MLX's.
  static bool has_packer(const Checkpoint& checkpoint);
  /// `tensor`'s values rounded to `dtype` and packed.
  static Tensor pack(const std::string& format, const Tensor& tensor, DType dtype);
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
