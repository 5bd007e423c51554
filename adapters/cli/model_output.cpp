#include "adapters/cli/model_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
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
  arguments.option("--split-max-size", &split_max_size_,
                   "of tensors in one .gguf file, as 2G or 500M: more go into OUT-00001-of-00002.gguf and on");
  arguments.option("--split-max-tensors", &split_max_tensors_, "likewise, how many (default: any number)");
  arguments.flag("--force", &force_, "replace OUT where it is a model");
}

files::GgufLimits ModelOutput::limits() const {
  require_at_least(0, "--split-max-tensors", split_max_tensors_);
  files::GgufLimits limits{0, static_cast<std::size_t>(split_max_tensors_)};
  if (split_max_size_.empty()) return limits;
  // gguf-split's units.
  const char* const end = split_max_size_.data() + split_max_size_.size() - 1;
  const std::uint64_t unit = *end == 'M' ? 1'000'000 : *end == 'G' ? 1'000'000'000 : 0;
  std::uint32_t count = 0;
  const auto [rest, error] = std::from_chars(split_max_size_.data(), end, count);
  if (unit == 0 || count == 0 || rest != end || error != std::errc())
    refuse(fmt::format("--split-max-size {}: a number of M or G, as 2G", split_max_size_));
  limits.bytes = count * unit;
  return limits;
}

ModelOutput::Written ModelOutput::write_files(const files::Checkpoint& checkpoint, files::WriteOptions options) const {
  struct Kind {
    std::string_view name;
    files::FolderKind folder;
  };
  constexpr Kind kFolders[] = {
      {"", files::FolderKind::plain}, {"mlx", files::FolderKind::mlx}, {"safetensors", files::FolderKind::safetensors}};
  if (to == "gguf" || (to.empty() && out_.ends_with(".gguf"))) {
    auto written = write_model_gguf(checkpoint, out_, files::GgufOptions{std::move(options), limits()});
    return {written.files.front().string(), written.files.size(), std::move(written.losses)};
  }
  if (!split_max_size_.empty() || split_max_tensors_ > 0)
    refuse("--split-max-size and --split-max-tensors: are for .gguf files");
  const auto* kind = std::ranges::find(kFolders, to, &Kind::name);
  if (kind == std::end(kFolders)) refuse(fmt::format("--to {}: gguf, mlx or safetensors", to));
  if (kind->folder == files::FolderKind::plain && options.requantize)
    refuse("--requantize: is for what --to mlx or gguf refuses; a folder without --to has that dense");
  return {out_, 0, write_model_folder(checkpoint, out_, files::FolderOptions{std::move(options), kind->folder})};
}

Json ModelOutput::write(const std::function<void(files::WriteOptions&)>& set) const {
  if (out_.empty()) refuse("OUT: is empty");
  files::WriteOptions options;
  if (!dtype_.empty()) options.dtype = parse_float_dtype("--dtype", dtype_);
  options.force = force_;
  set(options);
  const files::Checkpoint checkpoint = files::Checkpoint::open(model_);
  Written out;
  {
    const InterruptGuard interrupt;
    Progress progress("writing", static_cast<std::int64_t>(checkpoint.tensors().size()));
    options.progress = [&](std::size_t done, std::size_t, std::string_view) {
      interrupt.check();
      progress.update(static_cast<std::int64_t>(done));
    };
    out = write_files(checkpoint, options);
  }
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;
  const files::Checkpoint written = files::Checkpoint::open(out.path);
  for (const files::TensorInfo& info : written.tensors()) {
    parameters += info.shape.numel();
    bytes += info.bytes;
  }
  const double bits = parameters == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
  Json result = {{"out", out.path},         {"parameters", parameters},           {"weight_bytes", bytes},
                 {"bits_per_weight", bits}, {"peak_rss_bytes", peak_rss_bytes()}, {"warnings", out.losses}};
  if (out.gguf_files > 0) result["files"] = out.gguf_files;
  return result;
}

void ModelOutput::print(const Json& result) {
  for (const Json& warning : result["warnings"]) fmt::print(stderr, "nibble: {}\n", warning.get<std::string>());
  const std::size_t files = result.value("files", 1);
  fmt::print("{}{}: {} bytes of weights, {:.2f} bits each\n", result["out"].get<std::string>(),
             files > 1 ? fmt::format(" and {} more", files - 1) : "", result["weight_bytes"].get<std::uint64_t>(),
             result["bits_per_weight"].get<double>());
}

}  // namespace nibble::cli
