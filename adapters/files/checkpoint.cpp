#include "adapters/files/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "adapters/files/architectures.h"
#include "adapters/files/checkpoint_access.h"
#include "adapters/files/config_write.h"
#include "adapters/files/expert_stacks.h"
#include "adapters/files/file_error.h"
#include "adapters/files/folder_source.h"
#include "adapters/files/gguf_source.h"
#include "adapters/files/json_events.h"
#include "adapters/files/mapped_file.h"
#include "adapters/files/onnx_source.h"
#include "adapters/files/pack_plan.h"
#include "adapters/files/paths.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {

namespace fs = std::filesystem;

struct Checkpoint::Impl {
  fs::path path;
  std::shared_ptr<const GgufFile> gguf;  // null for a folder
  std::unique_ptr<WeightSource> source;
  std::vector<TensorInfo> tensors;  // as handed out, that is after packing
  std::optional<PackPlan> plan;
  std::string architecture;
  std::string config_json;
  FolderPacking packing;
  ModelConfig config;
  std::optional<Error> config_error;  // why there is no configuration to run the model by
  GenerationConfig generation;
  std::once_flag tokenizer_once;
  TokenizerSource tokenizer;

  std::size_t index_of(std::string_view name) const {
    const auto found = std::ranges::lower_bound(tensors, name, {}, &TensorInfo::name);
    if (found == tensors.end() || found->name != name) bad_file(path, name, "is missing");
    return static_cast<std::size_t>(found - tensors.begin());
  }
  DType scale_dtype(const TensorInfo& tensor) const {
    // What was packed has no dtype of its own; bf16 is what packers take where nothing is said.
    const DType own = tensor.packed ? DType::bf16 : tensor.dtype;
    return packable_dtype(config_error || !config.dtype ? own : *config.dtype);
  }
};

namespace {

std::string read_if_there(const fs::path& file) {
  return fs::exists(file) ? read_small_file(file, kSmallJson) : std::string();
}

std::string model_type_of(std::string_view config_json, const fs::path& origin) {
  const auto config = parse_small_json(config_json, origin);
  const auto type = config.find("model_type");
  return type != config.end() && type->is_string() ? shown(type->get<std::string>()) : std::string();
}

/// Runs `read`, and keeps what it throws for whoever asks for the result.
template <class Read>
std::optional<Error> error_of(Read read) {
  try {
    read();
    return {};
  } catch (const Error& error) {
    return error;
  }
}

void open_config(const fs::path& folder, Checkpoint::Impl* impl) {
  const fs::path file = folder / "config.json";
  impl->config_json = read_if_there(file);
  if (impl->config_json.empty()) {
    impl->config_error =
        Error(ErrorCode::unsupported,
              fmt::format("{}: is missing, and without it nobody knows how to run the model", shown(file.string())));
  } else {
    impl->architecture = model_type_of(impl->config_json, file);
    impl->packing.mlx = parse_mlx_packing(impl->config_json, file);
    impl->config_error = error_of([&] { impl->config = parse_config(impl->config_json, file.string()); });
  }
  impl->packing.packer = find_packer(impl->config_json, folder);
  const fs::path generation = folder / "generation_config.json";
  if (fs::exists(generation))
    impl->generation = parse_generation_config(read_if_there(generation), generation.string());
}

void open_gguf(Checkpoint::Impl* impl) {
  impl->gguf = std::make_shared<const GgufFile>(impl->path);
  const std::string name = gguf_architecture(*impl->gguf);
  const ArchitectureRow* row = find_gguf_architecture(name);
  impl->architecture = row ? std::string(row->model_type) : shown(name);
  impl->config_error = error_of([&] {
    impl->config = gguf_config(*impl->gguf);
    if (impl->config.rope_factors.empty()) impl->config_json = write_config(impl->config);
  });
  impl->generation = gguf_generation(*impl->gguf);
  impl->source = open_gguf_weights(impl->gguf);
}

bool begins_with_gguf(const fs::path& file) { return MappedFile::open(file)->text().starts_with("GGUF"); }

std::shared_ptr<Checkpoint::Impl> open_model(const fs::path& model) {
  auto impl = std::make_shared<Checkpoint::Impl>();
  impl->path = model;
  std::error_code error;
  const auto status = fs::status(model, error);
  if (!fs::exists(status)) refuse(ErrorCode::io_error, model, "", "there is no such file or folder");
  if (fs::is_directory(status)) {
    open_config(model, impl.get());
    impl->source = open_folder(model, impl->packing);
  } else if (model.extension() == ".gguf" || begins_with_gguf(model)) {
    open_gguf(impl.get());
  } else if (model.extension() == ".safetensors") {
    open_config(folder_of_model(model), impl.get());
    impl->source = open_safetensors(model, impl->packing);
  } else if (model.extension() == ".onnx") {
    impl->config_error = Error(ErrorCode::unsupported, fmt::format("{}: ONNX files are read for their weights, not run",
                                                                   shown(model.string())));
    impl->source = open_onnx_weights(model);
  } else {
    bad_file(model, "", "is neither a model folder nor a .gguf, .safetensors or .onnx file");
  }
  if (has_expert_stacks(impl->architecture)) impl->source = stack_experts(std::move(impl->source));
  impl->tensors = impl->source->tensors();
  return impl;
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& model) {
  return with_system_errors([&] { return Checkpoint(open_model(model)); });
}

const std::vector<TensorInfo>& Checkpoint::tensors() const { return impl_->tensors; }

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(impl_->tensors, name, {}, &TensorInfo::name);
  return found != impl_->tensors.end() && found->name == name ? &*found : nullptr;
}

Tensor Checkpoint::get(std::string_view name) const {
  const std::size_t i = impl_->index_of(name);
  const TensorInfo& stored = impl_->source->tensors()[i];
  Tensor tensor = impl_->source->get(i);
  if (!impl_->plan || impl_->tensors[i].format == stored.format) return tensor;
  return CheckpointAccess::pack(impl_->plan->format, tensor, impl_->tensors[i].dtype);
}

Tensor Checkpoint::get(std::string_view name, DType logical) const {
  Tensor tensor = get(name);
  if (!tensor.is_quantized() || tensor.dtype() == logical) return tensor;
  const PackingView view = packing_of(tensor);
  return from_components(view.format.name, view.components, tensor.shape(), logical);
}

void Checkpoint::pack_while_loading(const std::string& format) {
  impl_->plan = make_pack_plan(format);
  impl_->tensors = impl_->source->tensors();
  for (TensorInfo& tensor : impl_->tensors) {
    if (impl_->plan->becomes(tensor)) tensor = packed_info(*impl_->plan, tensor, impl_->scale_dtype(tensor));
  }
}

const std::string& Checkpoint::architecture() const { return impl_->architecture; }

const ModelConfig& Checkpoint::config() const {
  if (impl_->config_error) throw Error(*impl_->config_error);
  return impl_->config;
}

const std::string& Checkpoint::config_json() const { return impl_->config_json; }
const GenerationConfig& Checkpoint::generation() const { return impl_->generation; }

std::vector<std::int64_t> Checkpoint::eos_token_ids() const {
  if (!impl_->generation.eos_token_ids.empty()) return impl_->generation.eos_token_ids;
  if (!impl_->config.eos_token_ids.empty()) return impl_->config.eos_token_ids;
  const auto& eos = tokenizer().eos_id;
  return eos ? std::vector{*eos} : std::vector<std::int64_t>{};
}

const TokenizerSource& Checkpoint::tokenizer() const {
  std::call_once(impl_->tokenizer_once, [&] {
    impl_->tokenizer =
        impl_->gguf ? read_tokenizer_gguf(*impl_->gguf) : read_tokenizer_folder(folder_of_model(impl_->path));
  });
  return impl_->tokenizer;
}

bool Checkpoint::is_gguf() const { return impl_->gguf != nullptr; }
const fs::path& Checkpoint::path() const { return impl_->path; }
const std::vector<fs::path>& Checkpoint::weight_files() const { return impl_->source->files(); }

Tensor CheckpointAccess::pack(const std::string& format, const Tensor& tensor, DType dtype) {
  return quantize(tensor.is_quantized() ? dequantize(tensor, dtype) : cast(tensor, dtype), {.format = format});
}

const WeightSource& CheckpointAccess::source(const Checkpoint& checkpoint) { return *checkpoint.impl_->source; }
bool CheckpointAccess::has_packer(const Checkpoint& checkpoint) { return checkpoint.impl_->packing.packer != nullptr; }
const GgufFile* CheckpointAccess::gguf(const Checkpoint& checkpoint) { return checkpoint.impl_->gguf.get(); }

}  // namespace files

TensorMap load(const std::filesystem::path& path) {
  const auto checkpoint = files::Checkpoint::open(path);
  TensorMap tensors;
  for (const files::TensorInfo& info : checkpoint.tensors()) tensors.emplace(info.name, checkpoint.get(info.name));
  return tensors;
}

}  // namespace v0
}  // namespace nibble
