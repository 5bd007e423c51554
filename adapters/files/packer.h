#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/config_reader.h"
#include "adapters/files/safetensors.h"
#include "nibble/quantization.h"

/// Folders that others than MLX packed: `quantization_config` names the method, and a layer is some tensors whose names
/// begin alike. What is read is brought into a format of nibble's, tensor by tensor, without any rounding. A method is
/// one file that defines its row, named in packers.cpp.
namespace nibble {
inline namespace v0 {
namespace files {

/// The tensors of one layer, by what follows its name and a separator.
struct LayerParts {
  std::map<std::string_view, const SafetensorsEntry*> entries;
  std::function<Tensor(std::string_view)> load;

  /// Null where there is none.
  const SafetensorsEntry* find(std::string_view part) const {
    const auto found = entries.find(part);
    return found == entries.end() ? nullptr : found->second;
  }
};

/// What a layer is once it is read.
struct PackedLayer {
  const FormatInfo* format;
  Shape shape;
  DType dtype;
  bool reordered = false;  ///< components have a kInputOrder
};

/// How one folder's layers are packed. Throws Error(code) whose text is the rule that is broken; who calls it adds the
/// names of file and tensor.
class Packer {
 public:
  virtual ~Packer() = default;
  /// The parts of a layer, the first one of which tells that it is packed.
  virtual std::span<const std::string_view> parts() const = 0;
  /// Stands between a layer's name and a part's.
  virtual char separator() const { return '.'; }
  /// From shapes and dtypes alone.
  virtual PackedLayer describe(const LayerParts& parts) const = 0;
  virtual Components read(const LayerParts& parts) const = 0;
};

/// A method, as quant_method names it.
struct PackingMethod {
  std::string_view name;
  std::string_view layers;         ///< which of them are understood
  std::string_view specification;  ///< whose rules those are
  /// From the method's own configuration. Throws Error(unsupported) naming a key whose value is not understood.
  std::unique_ptr<const Packer> (*configure)(const Reader& config);
};

/// All that are known.
std::span<const PackingMethod* const> packing_method_table();
/// Null for a method that nobody here knows.
const PackingMethod* find_packing_method(std::string_view name);
/// The names of those that are known.
std::string packing_methods();

/// Files of a folder in which a method may have its configuration in place of config.json.
std::vector<std::string> packing_config_files();

/// The packer of a folder whose config.json this is, or of a quantize_config.json (GPTQ's) or quant_config.json (AWQ's)
/// beside it; null where none is named, or one that is not known: parse_config refuses it by name.
std::unique_ptr<const Packer> find_packer(std::string_view config_json, const std::filesystem::path& folder);

}  // namespace files
}  // namespace v0
}  // namespace nibble
