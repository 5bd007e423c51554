#include "adapters/cli/model_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "adapters/cli/interruption.h"
#include "adapters/cli/options.h"
#include "adapters/cli/progress.h"
#include "adapters/files/gguf_model_write.h"
#include "nibble/error.h"

namespace nibble::cli {

void ModelOutput::declare(Arguments& arguments) {
  arguments.required("MODEL", &model_, "a Hugging Face or mlx-lm folder, or a .gguf file");
  arguments.required("OUT", &out_, "the folder to write, or a .gguf file");
  arguments.option("--dtype", &dtype_,
                   "of scales and dense weights: f32, f16 or bf16 (default: the model's; from a GGUF bf16)");
  arguments.flag("--force", &force_, "replace OUT where it is a model");
}

std::vector<std::string> ModelOutput::write_files(const files::Checkpoint& checkpoint,
                                                  files::WriteOptions options) const {
  struct Kind {
    std::string_view name;
    files::FolderKind folder;
  };
  constexpr Kind kFolders[] = {
      {"", files::FolderKind::plain}, {"mlx", files::FolderKind::mlx}, {"safetensors", files::FolderKind::safetensors}};
  if (to == "gguf" || (to.empty() && out_.ends_with(".gguf"))) return write_model_gguf(checkpoint, out_, options);
  const auto* kind = std::ranges::find(kFolders, to, &Kind::name);
  if (kind == std::end(kFolders)) refuse(fmt::format("--to {}: gguf, mlx or safetensors", to));
  return write_model_folder(checkpoint, out_, files::FolderOptions{std::move(options), kind->folder});
}

Json ModelOutput::write(const std::function<void(files::WriteOptions&)>& set) const {
  if (out_.empty()) refuse("OUT: is empty");
  files::WriteOptions options;
  if (!dtype_.empty()) options.dtype = parse_float_dtype("--dtype", dtype_);
  options.force = force_;
  set(options);
  const files::Checkpoint checkpoint = files::Checkpoint::open(model_);
  std::vector<std::string> warnings;
  {
    const InterruptGuard interrupt;
    Progress progress("writing", static_cast<std::int64_t>(checkpoint.tensors().size()));
    options.progress = [&](std::size_t done, std::size_t, std::string_view) {
      interrupt.check();
      progress.update(static_cast<std::int64_t>(done));
    };
    warnings = write_files(checkpoint, options);
  }
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;
  const files::Checkpoint written = files::Checkpoint::open(out_);
  for (const files::TensorInfo& info : written.tensors()) {
    parameters += info.shape.numel();
    bytes += info.bytes;
  }
  const double bits = parameters == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
  return {{"out", out_},
          {"parameters", parameters},
          {"weight_bytes", bytes},
          {"bits_per_weight", bits},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"warnings", warnings}};
}

void ModelOutput::print(const Json& result) {
  for (const Json& warning : result["warnings"]) fmt::print(stderr, "nibble: {}\n", warning.get<std::string>());
  fmt::print("{}: {} bytes of weights, {:.2f} bits each\n", result["out"].get<std::string>(),
             result["weight_bytes"].get<std::uint64_t>(), result["bits_per_weight"].get<double>());
}

}  // namespace nibble::cli
