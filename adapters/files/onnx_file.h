#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/mapped_file.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// What nibble knows of an ONNX element type.
struct OnnxType {
  std::string_view name;            ///< ONNX's, in lower case
  int bits = 0;                     ///< of an element; 0 where it has no fixed size
  std::optional<DType> dtype = {};  ///< none: only a packed tensor's codes or zero points
  bool is_whole = false, is_signed = false;
};

/// A constant of the graph; its elements lie in one of the mapped files.
struct OnnxTensor {
  std::string_view name;  // in the mapping
  Shape shape = {};
  const OnnxType* type = nullptr;
  std::size_t file = 0;
  std::string_view bytes = {};
  std::string_view refusal = {};  ///< why the elements cannot be had
};

/// An operation that unpacks a constant.
struct OnnxNode {
  std::string_view name, operation;
  std::vector<std::string_view> inputs;  ///< empty names: left out
  struct Attribute {
    std::string_view name;
    std::int64_t value = 0;
  };
  std::vector<Attribute> attributes;  ///< whole numbers

  std::optional<std::int64_t> attribute(std::string_view wanted) const;
  std::string_view input(std::size_t i) const { return i < inputs.size() ? inputs[i] : std::string_view(); }
};

/// A mapped .onnx file whose graph has been read field by field, so that a damaged one costs no more memory than it has
/// bytes, and weights stay where they are. Format: onnx.proto of ONNX; elements may lie in files beside it.
class OnnxFile {
 public:
  /// Throws Error(invalid_file) naming file, tensor and rule.
  explicit OnnxFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return files_.front()->path(); }
  /// The .onnx file first.
  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }
  const std::deque<OnnxTensor>& tensors() const { return tensors_; }  ///< sorted by name
  const OnnxTensor* find(std::string_view name) const;
  const std::deque<OnnxNode>& nodes() const { return nodes_; }

 private:
  class Message;
  struct Outside;

  Message message(std::string_view bytes) const;
  void read_graph(std::string_view graph);
  void read_tensor(std::string_view tensor, std::string_view name);
  void read_node(std::string_view node);
  void place_outside(const Outside& where, std::uint64_t size, OnnxTensor* tensor);
  void require_room() const;
  std::size_t file_at(const std::string& location, std::string_view tensor);

  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::deque<OnnxTensor> tensors_;
  std::deque<OnnxNode> nodes_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
