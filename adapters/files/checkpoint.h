#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/config.h"
#include "adapters/files/tokenizer_source.h"
#include "nibble/tensor.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// One tensor of a model, before it is loaded.
struct TensorInfo {
  std::string name;         ///< Hugging Face's: "model.layers.0.self_attn.q_proj.weight"; stacked experts have MLX's:
                            ///< "model.layers.0.mlp.switch_mlp.up_proj.weight", however they are stored
  Shape shape;              ///< logical
  DType dtype;              ///< logical
  std::string format;       ///< "bf16" where it is dense, else the packed format: "affine4-g64", "q4_1"
  std::uint64_t bytes = 0;  ///< in the file, all components together
  bool packed = false;
  bool reordered = false;   ///< its rows are stored in another order than their entries have: kInputOrder
  bool transposed = false;  ///< it is packed along its columns: a view of the matrix whose rows are stored
};

/// A model folder (Hugging Face or mlx-lm), a .safetensors, .gguf or .onnx file: opened, checked and mapped; tensors
/// are made when asked for. Handles are cheap and share what they opened. Tensors keep the files mapped.
class Checkpoint {
 public:
  /// Throws Error(invalid_file | io_error | unsupported), one line that names file, tensor and rule.
  static Checkpoint open(const std::filesystem::path& model);

  /// Sorted by name. A packed tensor is one entry under its weight's name.
  const std::vector<TensorInfo>& tensors() const;
  const TensorInfo* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// Borrows the mapping where it can. Throws Error(invalid_file) naming the file and the missing tensor.
  Tensor get(std::string_view name) const;
  /// The same, a packed tensor's logical dtype being `logical`: what operations decode from it is rounded to that, not
  /// to the dtype of its scales. A dense tensor is as it is stored.
  Tensor get(std::string_view name, DType logical) const;

  /// From now on `get` packs linear layers and embeddings in this format ("affine4-g64"), tensor by tensor; what no
  /// group divides stays dense.
  void pack_while_loading(const std::string& format);

  /// "llama", "gpt_neox", …; empty where the model does not say.
  const std::string& architecture() const;
  /// For commands that run the model. Throws Error(unsupported) where the architecture or a key of the configuration is
  /// not understood.
  const ModelConfig& config() const;
  /// config.json as it was read, or as a .gguf's metadata amounts to.
  const std::string& config_json() const;
  const GenerationConfig& generation() const;
  /// The model's end tokens: of generation_config.json, config.json and the tokenizer, first one that says.
  std::vector<std::int64_t> eos_token_ids() const;
  /// Read at the first call.
  const TokenizerSource& tokenizer() const;

  bool is_gguf() const;
  const std::filesystem::path& path() const;
  /// The files that hold tensors.
  const std::vector<std::filesystem::path>& weight_files() const;

  struct Impl;

 private:
  explicit Checkpoint(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
  friend struct CheckpointAccess;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
