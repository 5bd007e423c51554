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
  std::size_t graph = 0;  ///< of OnnxFile's: 0 is the model's own
  Shape shape = {};
  const OnnxType* type = nullptr;
  std::size_t file = 0;
  std::string_view bytes = {};
  std::string_view refusal = {};  ///< why the elements cannot be had
};

/// An operation that unpacks a constant.
struct OnnxNode {
  std::string_view name, operation;
  std::size_t graph = 0;
  std::vector<std::string_view> inputs;  ///< empty names: left out
  struct Attribute {
    std::string_view name;
    std::int64_t value = 0;
  };
  std::vector<Attribute> attributes;  ///< whole numbers

  std::optional<std::int64_t> attribute(std::string_view wanted) const;
  std::string_view input(std::size_t i) const { return i < inputs.size() ? inputs[i] : std::string_view(); }
};

/// A mapped .onnx file whose graph, and those inside of it (of If, Loop, Scan), have been read field by field, so that
/// a damaged one costs no more memory than it has bytes, and weights stay where they are. Format: onnx.proto of ONNX;
/// elements may lie in files beside it. The model's own functions are not read.
class OnnxFile {
 public:
  /// Throws Error(invalid_file) naming file, tensor and rule.
  explicit OnnxFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return files_.front()->path(); }
  /// The .onnx file first.
  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }
  const std::deque<OnnxTensor>& tensors() const { return tensors_; }  ///< sorted by graph and name
  /// What a node means by its input: a constant of the graph that it is in, or of one around that; null for none.
  const OnnxTensor* input_of(const OnnxNode& node, std::size_t i) const;
  /// What no other tensor of the file is called: of a graph inside it begins with the first output of the node whose
  /// graph it is, and with what that calls it: y/then_branch/w.
  std::string full_name(const OnnxTensor& tensor) const;
  const std::deque<OnnxNode>& nodes() const { return nodes_; }

 private:
  class Message;
  struct Outside;
  struct Graph {
    std::size_t around = 0;
    std::string_view node, name;  // the first output of whose it is, and what that calls it
    std::size_t depth = 0;
    std::size_t name_bytes = 0;  // of what full names begin with
  };

  Message message(std::string_view bytes) const;
  void read_graph(std::string_view bytes, const Graph& as);
  void read_tensor(std::string_view bytes, std::string_view name, std::size_t graph);
  void read_node(std::string_view bytes, std::size_t graph);
  void place_outside(const Outside& where, std::uint64_t size, OnnxTensor* tensor);
  void require_room() const;
  std::size_t file_at(const std::string& location, std::string_view tensor);

  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::deque<OnnxTensor> tensors_;
  std::deque<OnnxNode> nodes_;
  std::deque<Graph> graphs_;
  std::size_t name_bytes_ = 0;  // of all full names, what they begin with
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
