#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// The keys and values of every layer, (B, Hk, capacity, D) each, and how much of each row is filled. The memory is set
/// up once: every step writes into it in place.
class KvCache {
 public:
  struct Sizes {
    std::int64_t layers, batch, heads, capacity, head_dim;
  };
  /// Stored as a dtype's name says, or packed in the format of that name: see nibble::empty; each layer's on its
  /// device.
  KvCache(const Sizes& sizes, std::string_view storage, std::span<const Device> devices);

  std::int64_t batch() const { return sizes_.batch; }
  std::int64_t capacity() const { return sizes_.capacity; }
  const std::string& storage() const { return storage_; }
  /// Tokens that each row holds.
  std::span<const std::int32_t> lengths() const { return lengths_; }
  /// The same as an i32 tensor (B,).
  Tensor lengths_tensor() const;

  /// Writes keys and values (B, Hk, T, D) of one layer behind what each row holds, and gives the whole of both.
  struct View {
    Tensor keys, values;
  };
  View append(std::int64_t layer, const Tensor& keys, const Tensor& values, const Tensor& starts);

  /// Counts `counts[b]` more tokens as held by row b, once all layers have been written.
  void advance(std::span<const std::int32_t> counts);
  /// The same number for every row.
  void advance(std::int32_t count);
  /// Forgets all but the first `length` tokens of every row.
  void truncate(std::int32_t length);

 private:
  Sizes sizes_;
  std::string storage_;
  std::vector<View> layers_;
  std::vector<std::int32_t> lengths_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
