#include "adapters/cli/loaded_model.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "adapters/cli/layers.h"
#include "adapters/cli/options.h"
#include "adapters/cli/progress.h"
#include "adapters/llm/loader.h"

namespace nibble::cli {
namespace {

/// ADAPTER or ADAPTER:scale; a colon followed by anything but a number belongs to the path.
llm::LoadedAdapter read_adapter(const std::string& text) {
  std::string path = text;
  double multiplier = 1;
  if (const auto colon = text.rfind(':'); colon != std::string::npos) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) {
      if (!std::isfinite(value)) refuse(fmt::format("--lora {}: the scale must be a finite number", text));
      path = text.substr(0, colon);
      multiplier = value;
    }
  }
  return {load_lora(path), multiplier, path};
}

LoadedModel load_model(files::Checkpoint checkpoint, llm::LoadOptions options) {
  Progress progress("loading", checkpoint.config().num_hidden_layers);
  options.progress = [&](std::int64_t done, std::int64_t) { progress.update(done); };
  llm::DecoderModel model = llm::load_decoder(checkpoint, options);
  return {std::move(checkpoint), std::move(model)};
}

}  // namespace

const llm::Tokenizer& LoadedModel::tokenizer() const {
  if (!tokenizer_) tokenizer_ = llm::Tokenizer::make(checkpoint.tokenizer());
  return *tokenizer_;
}

void ModelOptions::declare(Arguments& arguments) {
  arguments.required("MODEL", &path_, "a Hugging Face or mlx-lm folder, or a .gguf file");
  arguments.option("--quantize", &pack_, "pack the weights while loading them: affine4-g64, ...");
  arguments.option("--lora", &adapters_, "ADAPTER[:scale], a PEFT or mlx-lm folder; may be repeated");
}

LoadedModel ModelOptions::load(const ComputeOptions& compute) const {
  files::Checkpoint checkpoint = files::Checkpoint::open(path_);
  if (!pack_.empty()) checkpoint.pack_while_loading(pack_);
  llm::LoadOptions options;
  options.dtype = compute.dtype();
  if (!compute.layers().empty()) options.layer_devices = place_layers(compute.layers(), checkpoint);
  for (const std::string& text : adapters_) options.adapters.push_back(read_adapter(text));
  return load_model(std::move(checkpoint), std::move(options));
}

LoadedModel ModelOptions::load_plain(const std::string& path, DType dtype) {
  llm::LoadOptions options;
  options.dtype = dtype;
  return load_model(files::Checkpoint::open(path), std::move(options));
}

std::vector<std::int32_t> encode_text(const llm::Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::int32_t> ids = tokenizer.encode(text);
  if (tokenizer.add_bos() && tokenizer.bos()) ids.insert(ids.begin(), *tokenizer.bos());
  return ids;
}

}  // namespace nibble::cli
