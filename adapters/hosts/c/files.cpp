#include <fmt/format.h>

#include <iterator>

#include "adapters/hosts/c/handles.h"
#include "nibble/error.h"

namespace nibble {
namespace hosts {
namespace {

nibble_status load_tensors(nibble_context* context, const char* path, nibble_tensors** out, nibble_error** error) {
  return guarded(context, error, [&] { *required(out, "out") = new nibble_tensors{load(required(path, "path"))}; });
}

nibble_status save(nibble_context* context, const char* path, const nibble_component* tensors, std::size_t count,
                   nibble_error** error) {
  return guarded(context, error, [&] {
    if (count > 0) required(tensors, "tensors");
    TensorMap map;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = required(tensors[i].name, "nibble_component.name");
      if (!map.emplace(name, tensor_of(tensors[i].tensor)).second) {
        refuse(ErrorCode::invalid_argument, fmt::format("[save] '{}' given twice", name));
      }
    }
    save_safetensors(required(path, "path"), map);
  });
}

const char* name_at(nibble_context*, const nibble_tensors* tensors, std::size_t i) {
  if (!tensors || i >= tensors->map.size()) return nullptr;
  return std::next(tensors->map.begin(), static_cast<std::ptrdiff_t>(i))->first.c_str();
}

nibble_status get(nibble_context* context, const nibble_tensors* tensors, const char* name, nibble_tensor** out,
                  nibble_error** error) {
  return guarded(context, error, [&] {
    const auto found = required(tensors, "tensors")->map.find(required(name, "name"));
    if (found == tensors->map.end()) {
      refuse(ErrorCode::invalid_argument, fmt::format("[tensors_get] there is no tensor '{}'", name));
    }
    give(found->second, out);
  });
}

}  // namespace

void add_files(nibble_api& api) {
  api.load = load_tensors;
  api.save = save;
  api.tensors_count = [](nibble_context*, const nibble_tensors* tensors) { return tensors ? tensors->map.size() : 0; };
  api.tensors_name = name_at;
  api.tensors_get = get;
  api.tensors_release = [](nibble_context*, nibble_tensors* tensors) { delete tensors; };
}

}  // namespace hosts
}  // namespace nibble
