#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/ggml_types.h"
#include "adapters/files/placed_tensors.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// Metadata as it will stand in a GGUF file.
class GgufPairs {
 public:
  void text(std::string_view key, std::string_view value);
  void boolean(std::string_view key, bool value);
  void count(std::string_view key, std::int64_t value);  ///< u32. Throws Error(unsupported) for what that cannot hold
  void short_count(std::string_view key, std::uint16_t value);
  void integer(std::string_view key, std::int32_t value);
  void number(std::string_view key, double value);  ///< f32
  void texts(std::string_view key, std::span<const std::string> values);
  void integers(std::string_view key, std::span<const std::int32_t> values);
  void numbers(std::string_view key, std::span<const float> values);

  std::uint64_t size() const { return size_; }
  std::string_view bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, std::uint32_t type);
  void begin_list(std::string_view key, std::uint32_t type, std::size_t count);

  std::string bytes_;
  std::uint64_t size_ = 0;
};

/// What a tensor of a GGUF file will be, before its bytes are there.
struct GgufDeclaration {
  std::string name;
  const GgmlType* type;
  Shape shape;

  std::uint64_t bytes() const;
  /// What it takes in a file: with what stands before the next one.
  std::uint64_t padded_bytes() const;
};

/// Writes a GGUF file of version 3 in a stream: metadata and declarations first, tensors piece by piece in any order.
/// The file appears under its name with `finish`; before, and on failure, the old one stays.
class GgufWriter {
 public:
  GgufWriter(const std::filesystem::path& path, const GgufPairs& metadata, std::span<const GgufDeclaration> tensors);
  /// Adds dense elements, or a format's blocks, to the end of what this tensor has so far.
  void append(std::string_view name, const Tensor& elements) { data_.append(name, elements); }
  /// As PlacedTensors'.
  void complete() { data_.complete(); }
  void finish() { data_.finish(); }

 private:
  PlacedTensors data_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
