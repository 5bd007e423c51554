#include "adapters/cli/folder_output.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "adapters/cli/interruption.h"
#include "adapters/cli/options.h"
#include "adapters/cli/progress.h"
#include "nibble/error.h"

namespace nibble::cli {

void FolderOutput::declare(Arguments& arguments) {
  arguments.required("MODEL", &model_, "a Hugging Face or mlx-lm folder, or a .gguf file");
  arguments.required("OUT", &out_, "the folder to write");
  arguments.option("--dtype", &dtype_,
                   "of scales and dense weights: f32, f16 or bf16 (default: the model's; from a GGUF bf16)");
  arguments.flag("--force", &force_, "replace OUT where it is a model's folder");
}

Json FolderOutput::write(const std::function<void(files::FolderOptions&)>& set) const {
  if (out_.empty()) refuse("OUT: is empty");
  files::FolderOptions options;
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
    warnings = files::write_model_folder(checkpoint, out_, options);
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

void FolderOutput::print(const Json& result) {
  for (const Json& warning : result["warnings"]) fmt::print(stderr, "nibble: {}\n", warning.get<std::string>());
  fmt::print("{}: {} bytes of weights, {:.2f} bits each\n", result["out"].get<std::string>(),
             result["weight_bytes"].get<std::uint64_t>(), result["bits_per_weight"].get<double>());
}

}  // namespace nibble::cli
