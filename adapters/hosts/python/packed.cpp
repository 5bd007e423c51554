// Packed tensors and files.

#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "adapters/files/checkpoint.h"
#include "adapters/hosts/python/bindings.h"
#include "adapters/hosts/python/casters.h"
#include "nibble/error.h"
#include "nibble/io.h"
#include "nibble/quantization.h"

namespace nb = nanobind;
using namespace nanobind::literals;

namespace nibble {
namespace hosts {

void bind_packed(nb::module_& m) {
  using Released = nb::call_guard<nb::gil_scoped_release>;
  m.def(
      "quantize",
      [](const Tensor& w, int bits, int group_size, const std::string& format) {
        return quantize(w, {bits, group_size, format});
      },
      "w"_a, "bits"_a = 4, "group_size"_a = 64, "format"_a = "affine", Released());
  m.def(
      "from_quantized",
      [](const Tensor& codes, const Tensor& scales, const Tensor& biases, int bits, int group_size) {
        return from_quantized(codes, scales, biases, {bits, group_size});
      },
      "codes"_a, "scales"_a, "biases"_a, "bits"_a = 4, "group_size"_a = 64);
  m.def("from_components", &from_components, "format"_a, "components"_a, "shape"_a, "dtype"_a = nb::none());
  m.def(
      "components", [](const Tensor& packed) { return packing_of(packed).components; }, "packed"_a);
  m.def(
      "component_names",
      [](const std::string& format) {
        const std::optional<FormatInfo> info = format_info(format);
        if (!info)
          throw Error(ErrorCode::invalid_argument, "[component_names] '" + format + "': there is no such format");
        std::vector<std::string> names;
        for (const ComponentInfo& component : info->components) names.push_back(component.name);
        return names;
      },
      "format"_a);
  m.def(
      "formats",
      [] {
        std::vector<std::string> names;
        for (const FormatInfo& info : formats()) names.push_back(info.name);
        return names;
      },
      "Names of the packed formats that quantize, load and every operation know.");

  m.def(
      "load", [](const std::filesystem::path& path) { return load(path); }, "path"_a, Released());
  m.def(
      "model_config",
      [](const std::filesystem::path& path) {
        const files::Checkpoint checkpoint = files::Checkpoint::open(path);
        if (checkpoint.config_json().empty()) checkpoint.config();  // says why
        return checkpoint.config_json();
      },
      "path"_a, Released(), "The text of a model's config.json; what a .gguf file's metadata amounts to.");
  m.def(
      "load_safetensors",
      [](const std::filesystem::path& path) {
        SafetensorsFile file = load_safetensors(path);
        return std::make_tuple(std::move(file.tensors), std::move(file.metadata));
      },
      "path"_a, Released());
  m.def(
      "save_safetensors",
      [](const std::filesystem::path& path, const TensorMap& tensors,
         const std::map<std::string, std::string>& metadata) { save_safetensors(path, tensors, metadata); },
      "path"_a, "tensors"_a, "metadata"_a = std::map<std::string, std::string>(), Released());
}

}  // namespace hosts
}  // namespace nibble
