#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nibble/dtype.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// What a tensor's elements are in a GGUF file (ggml's `ggml_type`).
struct GgmlType {
  std::uint32_t id;
  std::string name;     ///< "Q4_1"
  std::uint32_t block;  ///< elements
  std::uint32_t block_bytes;
  std::optional<DType> dtype = {};  ///< of a dense type that nibble reads
  std::string format = {};          ///< nibble's name of a packed type that it reads
  bool is_supported() const { return dtype.has_value() || !format.empty(); }
};

/// Null for a number that nobody here knows.
const GgmlType* find_ggml_type(std::uint32_t id);
/// The type of dense elements, or of a format's blocks; null where GGUF has none.
const GgmlType* ggml_type_of(DType dtype);
const GgmlType* ggml_type_of(std::string_view format);

}  // namespace files
}  // namespace v0
}  // namespace nibble
