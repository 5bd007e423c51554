#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "adapters/files/checkpoint.h"
#include "adapters/files/pack_plan.h"
#include "nibble/quantization.h"

/// What whoever writes a model decides for each tensor, and does with each block of its rows.
namespace nibble {
inline namespace v0 {
namespace files {

struct WriteOptions {
  /// Packs what it names; what is packed otherwise becomes what the files can say.
  std::optional<PackPlan> plan;
  bool dequantize = false;  ///< everything dense
  /// What is packed in a format that the files cannot say, and in no other without a loss, is packed in this one; else
  /// it is refused.
  std::optional<PackPlan> requantize;
  std::optional<DType> dtype;  ///< of dense weights and of scales; by default as they are
  bool force = false;          ///< what an earlier run wrote may be replaced
  /// Called before each tensor and once at the end, where done == total.
  std::function<void(std::size_t done, std::size_t total, std::string_view name)> progress;
};

/// What a tensor is written as.
struct Storage {
  enum class Way : std::uint8_t {
    dense,        ///< its elements, or what it decodes to
    kept,         ///< packed as it is
    reexpressed,  ///< the same numbers in another format
    packed,       ///< rounded anew
    as_stored,    ///< the parts that the folder has, whoever packed it
  };
  Way way = Way::dense;
  const FormatInfo* format = nullptr;  ///< null where it is dense
  DType dtype = DType::f32;            ///< of the dense result, or of the scales
};

/// A kind of file, by what it can say of packed tensors.
struct Container {
  std::string_view name;
  bool (*says)(const FormatInfo& format);
};

/// Throws Error(unsupported) where the container cannot say what the tensor is and nothing else was asked for.
Storage lossless_storage(const Checkpoint& checkpoint, const TensorInfo& tensor, const Container& container,
                         const WriteOptions& options);
/// Puts the plans in the container's words: it may keep a format's bytes in another order, under another name. Throws
/// Error(unsupported), naming `out`, where a plan asks for a format that the container cannot say.
void say_in(const Container& container, const std::filesystem::path& out, WriteOptions* options);

/// Some rows of a tensor as they are written.
Tensor stored(const Tensor& rows, const Storage& storage);

/// Calls `use` for a tensor's rows in order, few at a time: no weight's size is ever held but in the file. Every `unit`
/// rows stay together.
void for_each_block(const Tensor& tensor, std::int64_t unit, const std::function<void(const Tensor&)>& use);

/// Tensors that another packer made look like plain ones; written as such they would be no model.
void refuse_unknown_packers(const Checkpoint& checkpoint);

}  // namespace files
}  // namespace v0
}  // namespace nibble
