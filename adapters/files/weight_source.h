#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
  /// The same as it stands in the files, so that nothing is brought together: itself, or the members of a stack.
  virtual std::vector<Tensor> parts(std::size_t i) const { return {get(i)}; }
  /// The same as a folder's files hold it, whoever packed it: all of its parts under their own names. Of tensors that
  /// share one the first has it. Empty where the files are no safetensors.
  virtual std::vector<std::pair<std::string, Tensor>> stored(std::size_t) const { return {}; }
  /// What `tensor`, a part or a piece of one, borrows from a file was read and is not needed soon.
  void forget(const Tensor& tensor) const;
  const std::vector<std::filesystem::path>& files() const { return files_; }
  /// The index in files() of the file that holds the i-th tensor.
  virtual std::size_t file_of(std::size_t i) const = 0;
  /// Before which others it stands there, where the file has an order of its own that one may want to keep.
  virtual std::uint64_t place_of(std::size_t i) const { return i; }
  /// The same for bytes; any that are no file's are passed over.
  virtual void forget(std::span<const std::byte> bytes) const = 0;

 protected:
  /// Puts tensors_ in their order, and the recipe of each with it.
  template <class Recipe>
  void sort_by_name(std::vector<Recipe>& recipes) {
    std::vector<std::size_t> order(tensors_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) -> const std::string& { return tensors_[i].name; });
    std::vector<TensorInfo> tensors;
    std::vector<Recipe> sorted;
    for (const std::size_t i : order) {
      tensors.push_back(std::move(tensors_[i]));
      sorted.push_back(std::move(recipes[i]));
    }
    tensors_ = std::move(tensors);
    recipes = std::move(sorted);
  }

  std::vector<TensorInfo> tensors_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
