#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/ggml_types.h"
#include "adapters/files/mapped_file.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace files {

struct GgufTensor {
  std::string_view name;  ///< in the mapping
  Shape shape;            ///< rows first, as everywhere in nibble: ggml's dimensions reversed
  const GgmlType* type = nullptr;
  std::uint64_t begin = 0, bytes = 0;
  std::size_t file = 0;  ///< the one of files() that has it
};

/// A mapped GGUF file, version 2 or 3, little-endian, whose header has been read and checked. Metadata stays in the
/// mapping and is decoded when asked for. Format: ggml, docs/gguf.md. A model in several files, as llama.cpp's
/// gguf-split writes them, is one of these: the first file has the metadata, all have tensors.
class GgufFile {
 public:
  /// Any of a model's files opens all of them.
  explicit GgufFile(const std::filesystem::path& path);

  /// The file that has the metadata.
  const std::filesystem::path& path() const { return files_.front()->path(); }
  std::uint32_t version() const { return version_; }
  const std::deque<GgufTensor>& tensors() const { return tensors_; }  ///< in the order of their bytes
  const GgufTensor* find_tensor(std::string_view name) const;
  /// Borrows the mapping; packed where the file is, `dtype` then being its logical dtype. Throws Error(unsupported), by
  /// name, for a type that nibble does not read.
  Tensor tensor(const GgufTensor& tensor, DType dtype = DType::f32) const;
  /// The same tensor over other bytes, `tensor.bytes` of them, that `owner` keeps.
  Tensor tensor_over(const GgufTensor& tensor, std::shared_ptr<const void> owner, const std::byte* data,
                     DType dtype = DType::f32) const;
  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }
  const std::filesystem::path& path_of(const GgufTensor& tensor) const { return files_[tensor.file]->path(); }

  /// Metadata: nothing where the key is missing; Error(invalid_file) where its value is of another kind.
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::int64_t length(std::string_view key) const;  ///< of a list; 0 where it is missing, 1 of what is none
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  ///< of an f32 the shortest decimal that means it
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::vector<std::string>> texts(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> integers(std::string_view key) const;  ///< also one number, as a list of one
  std::optional<std::vector<float>> floats(std::string_view key) const;
  /// Views into the mapping.
  std::optional<std::vector<std::string_view>> text_views(std::string_view key) const;

 private:
  struct Value {
    std::string_view key;
    std::uint32_t type = 0;  // of the elements, where it is an array
    bool is_array = false;
    std::uint64_t count = 1;
    const std::byte* data = nullptr;
  };
  class Cursor;
  struct Split;

  /// Nothing but this file.
  static GgufFile read_alone(const std::filesystem::path& path);
  GgufFile() = default;
  Split split() const;
  void join_parts();
  void require_names_once();  // and sorts by them

  const Value* find(std::string_view key) const;
  template <class Text>
  std::optional<std::vector<Text>> texts_as(std::string_view key) const;
  [[noreturn]] void wrong_kind(const Value& value, std::string_view wanted) const;
  void read_header();
  void read_metadata(Cursor& cursor, std::uint64_t count);
  void read_tensors(Cursor& cursor, std::uint64_t count);
  void check_places(std::uint64_t header_end);
  std::uint64_t alignment() const;

  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::uint32_t version_ = 0;
  std::deque<Value> values_;  // sorted by key
  std::deque<GgufTensor> tensors_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
