#include "adapters/cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "adapters/cli/progress.h"
#include "adapters/llm/loader.h"
#include "nibble/error.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

struct PrecisionRow {
  const char* name;
  Precision precision;
};
constexpr PrecisionRow kPrecisions[] = {
    {"exact", Precision::exact}, {"standard", Precision::standard}, {"fast", Precision::fast}};

Device find_device(const std::string& text) {
  const Device wanted = Device::parse(text);
  std::vector<std::string> found;
  for (const DeviceInfo& info : devices()) {
    if (info.device == wanted) return wanted;
    found.push_back(fmt::format("{} ({})", to_string(info.device), info.name));
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("--device {}: no such device here; found {}", text, fmt::join(found, ", ")));
}

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
  return {load_lora(path), multiplier};
}

LoadedModel load_model(files::Checkpoint checkpoint, llm::LoadOptions options) {
  Progress progress("loading", checkpoint.config().num_hidden_layers);
  options.progress = [&](std::int64_t done, std::int64_t) { progress.update(done); };
  llm::DecoderModel model = llm::load_decoder(checkpoint, options);
  return {std::move(checkpoint), std::move(model)};
}

}  // namespace

void refuse(const std::string& text) { throw Error(ErrorCode::invalid_argument, text); }

Precision parse_precision(const std::string& text) {
  for (const PrecisionRow& row : kPrecisions) {
    if (text == row.name) return row.precision;
  }
  refuse(fmt::format("--precision {}: exact, standard or fast", text));
}

void check_kv_storage(const std::string& text) {
  const std::optional<DType> dtype = parse_dtype(text);
  const std::vector<FormatInfo> packed = formats();
  const bool known = dtype ? *dtype == DType::f32 || *dtype == DType::f16 || *dtype == DType::bf16
                           : std::any_of(packed.begin(), packed.end(), [&](const auto& f) { return f.name == text; });
  if (!known && !text.empty()) refuse(fmt::format("--kv-dtype {}: f32, f16, bf16 or a packed format, as q8_0", text));
}

DType parse_float_dtype(const char* option, const std::string& text) {
  const std::optional<DType> dtype = parse_dtype(text);
  if (!dtype || (*dtype != DType::f32 && *dtype != DType::f16 && *dtype != DType::bf16)) {
    refuse(fmt::format("{} {}: f32, f16 or bf16", option, text));
  }
  return *dtype;
}

void ComputeOptions::declare(Arguments& arguments) {
  arguments.option("--device", &device_, "where to compute: cpu");
  arguments.option("--threads", &threads_, "threads on the CPU (default: the cores that the process may use)");
  arguments.option("--precision", &precision_, "of products with packed weights: exact, standard or fast");
  arguments.option("--dtype", &dtype_, "of activations: f32, f16 or bf16");
  arguments.option("--kv-dtype", &kv_storage_, "of the KV cache: also a packed format, q8_0, ... (default: --dtype)");
}

void ComputeOptions::apply() const {
  dtype();
  check_kv_storage(kv_storage_);
  if (threads_ < 0) refuse(fmt::format("--threads {}: at least 1", threads_));
  if (threads_ > 0) set_num_threads(threads_);
  Options options = nibble::options();
  options.precision = parse_precision(precision_);
  options.device = find_device(device_);
  set_default_options(options);
}

DType ComputeOptions::dtype() const { return parse_float_dtype("--dtype", dtype_); }

const llm::Tokenizer& LoadedModel::tokenizer() const {
  if (!tokenizer_) tokenizer_ = llm::Tokenizer::make(checkpoint.tokenizer());
  return *tokenizer_;
}

void ModelOptions::declare(Arguments& arguments) {
  arguments.required("MODEL", &path_, "a Hugging Face or mlx-lm folder, or a .gguf file");
  arguments.option("--quantize", &pack_, "pack the weights while loading them: affine4-g64, ...");
  arguments.option("--lora", &adapters_, "ADAPTER[:scale], a PEFT or mlx-lm folder; may be repeated");
}

LoadedModel ModelOptions::load(DType dtype) const {
  files::Checkpoint checkpoint = files::Checkpoint::open(path_);
  if (!pack_.empty()) checkpoint.pack_while_loading(pack_);
  llm::LoadOptions options;
  options.dtype = dtype;
  for (const std::string& text : adapters_) options.adapters.push_back(read_adapter(text));
  return load_model(std::move(checkpoint), std::move(options));
}

LoadedModel ModelOptions::load_plain(const std::string& path, DType dtype) {
  llm::LoadOptions options;
  options.dtype = dtype;
  return load_model(files::Checkpoint::open(path), std::move(options));
}

void SamplingFlags::declare(Arguments& arguments) {
  arguments.option("--temperature", &temperature_, "0 is greedy (defaults: generation_config.json, else greedy)");
  arguments.option("--top-k", &top_k_, "only the k likeliest tokens; 0: all");
  arguments.option("--top-p", &top_p_, "only the likeliest tokens that together reach p");
  arguments.option("--min-p", &min_p_, "only tokens at least p times as likely as the likeliest");
  arguments.option("--repetition-penalty", &repetition_penalty_, "above 1: tokens seen before become less likely");
  arguments.option("--seed", &seed_, "the same seed draws the same tokens (default: 0)");
}

llm::SamplingOptions SamplingFlags::resolve(const files::GenerationConfig& defaults) const {
  llm::SamplingOptions options;
  options.seed = seed_;
  options.repetition_penalty = repetition_penalty_.value_or(defaults.repetition_penalty.value_or(1));
  options.temperature = temperature_.value_or(defaults.do_sample ? defaults.temperature.value_or(1) : 0);
  options.top_k = top_k_.value_or(defaults.top_k.value_or(0));
  options.top_p = top_p_.value_or(defaults.top_p.value_or(1));
  options.min_p = min_p_.value_or(defaults.min_p.value_or(0));
  return options;
}

std::vector<std::int32_t> encode_text(const llm::Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::int32_t> ids = tokenizer.encode(text);
  if (tokenizer.add_bos() && tokenizer.bos()) ids.insert(ids.begin(), *tokenizer.bos());
  return ids;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code ignored;
  if (!file || std::filesystem::is_directory(path, ignored)) {
    throw Error(ErrorCode::io_error, fmt::format("{}: {}", path, file ? "is a folder" : std::strerror(errno)));
  }
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) throw Error(ErrorCode::io_error, fmt::format("{}: cannot be read", path));
  return text;
}

std::uint64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace nibble::cli
