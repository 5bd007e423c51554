#include "nibble/io.h"

#include "adapters/files/packed_pieces.h"
#include "adapters/files/safetensors.h"

namespace nibble {
inline namespace v0 {

SafetensorsFile load_safetensors(const std::filesystem::path& path) {
  const files::SafetensorsReader reader(path);
  SafetensorsFile file{.tensors = {}, .metadata = reader.metadata()};
  for (const files::SafetensorsEntry& entry : reader.entries()) file.tensors.emplace(entry.name, reader.tensor(entry));
  return file;
}

void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::string> notes = metadata;
  std::vector<std::pair<std::string, Tensor>> pieces;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_quantized()) notes.insert(files::packed_note(name, packing_of(tensor).format.name, tensor.dtype()));
    for (auto& piece : files::stored_pieces(name, tensor)) pieces.push_back(std::move(piece));
  }
  std::vector<files::TensorDeclaration> declarations;
  for (const auto& [name, tensor] : pieces) declarations.push_back({name, tensor.dtype(), tensor.shape()});
  files::SafetensorsWriter writer(path, declarations, notes);
  for (const auto& [name, tensor] : pieces) writer.append(name, tensor);
  writer.finish();
}

}  // namespace v0
}  // namespace nibble
