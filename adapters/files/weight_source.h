#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// Where a checkpoint's tensors come from: one implementation a container.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// Sorted by name.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// The i-th of tensors().
  virtual Tensor get(std::size_t i) const = 0;
  /// The i-th's file was read and is not needed soon.
  virtual void forget(std::size_t i) const = 0;
  const std::vector<std::filesystem::path>& files() const { return files_; }
  /// The index in files() of the file that holds the i-th tensor.
  virtual std::size_t file_of(std::size_t i) const = 0;

 protected:
  std::vector<TensorInfo> tensors_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
