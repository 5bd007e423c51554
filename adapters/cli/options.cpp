#include "adapters/cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "adapters/cli/device_choice.h"
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

}  // namespace

void refuse(const std::string& text) { throw Error(ErrorCode::invalid_argument, text); }

void require_at_least(std::int64_t least, const char* option, std::int64_t value) {
  if (value < least) refuse(fmt::format("{} {}: at least {}", option, value, least));
}

void apply_threads(std::optional<std::int64_t> threads) {
  if (!threads) return;
  constexpr int kMost = 1024;  // more than any machine has cores
  require_at_least(1, "--threads", *threads);
  if (*threads > kMost) refuse(fmt::format("--threads {}: at most {}", *threads, kMost));
  set_num_threads(static_cast<int>(*threads));
}

Precision parse_precision(const std::string& text) {
  for (const PrecisionRow& row : kPrecisions) {
    if (text == row.name) return row.precision;
  }
  refuse(fmt::format("--precision {}: exact, standard or fast", text));
}

void check_kv_storage(const std::string& text) {
  const std::optional<DType> dtype = parse_dtype(text);
  const bool known = dtype ? is_arithmetic_float(*dtype) : format_info(text).has_value();
  if (!known && !text.empty()) refuse(fmt::format("--kv-dtype {}: f32, f16, bf16 or a packed format, as q8_0", text));
}

DType parse_float_dtype(const char* option, const std::string& text) {
  const std::optional<DType> dtype = parse_dtype(text);
  if (!dtype || !is_arithmetic_float(*dtype)) refuse(fmt::format("{} {}: f32, f16 or bf16", option, text));
  return *dtype;
}

void ComputeOptions::declare(Arguments& arguments) {
  arguments.option(
      "--device", &device_,
      "where to compute: cpu, vulkan:0, or a part of a name that nibble devices lists (default: a card, else cpu)");
  arguments.option("--layers", &layers_, "where each layer is: vulkan:0=0-15,cpu=16-29, or auto (default: --device)");
  arguments.option("--threads", &threads_, "threads on the CPU (default: the cores that the process may use)");
  arguments.option("--precision", &precision_, "of products with packed weights: exact, standard or fast");
  arguments.option("--dtype", &dtype_, "of activations: f32, f16 or bf16");
  arguments.option("--kv-dtype", &kv_storage_, "of the KV cache: also a packed format, q8_0, ... (default: --dtype)");
}

void ComputeOptions::apply() const {
  dtype();
  check_kv_storage(kv_storage_);
  apply_threads(threads_);
  Options options = nibble::options();
  options.precision = parse_precision(precision_);
  options.device = device_.empty() ? preferred_device() : find_device("--device", device_);
  set_default_options(options);
}

DType ComputeOptions::dtype() const { return parse_float_dtype("--dtype", dtype_); }

void SamplingFlags::declare(Arguments& arguments) {
  arguments.option("--temperature", &temperature_, "0 is greedy (defaults: generation_config.json, else greedy)");
  arguments.option("--top-k", &top_k_, "only the k likeliest tokens; 0: all");
  arguments.option("--top-p", &top_p_, "only the likeliest tokens that together reach p");
  arguments.option("--min-p", &min_p_, "only tokens at least p times as likely as the likeliest");
  arguments.option("--repetition-penalty", &repetition_penalty_, "above 1: tokens seen before become less likely");
  arguments.option("--seed", &seed_, "the same seed draws the same tokens (default: 0)");
}

llm::SamplingOptions SamplingFlags::resolve(const files::GenerationConfig& defaults) const {
  require_at_least(0, "--seed", seed_);
  llm::SamplingOptions options;
  options.seed = static_cast<std::uint64_t>(seed_);
  options.repetition_penalty = repetition_penalty_.value_or(defaults.repetition_penalty.value_or(1));
  options.temperature = temperature_.value_or(defaults.do_sample ? defaults.temperature.value_or(1) : 0);
  options.top_k = top_k_.value_or(defaults.top_k.value_or(0));
  options.top_p = top_p_.value_or(defaults.top_p.value_or(1));
  options.min_p = min_p_.value_or(defaults.min_p.value_or(0));
  llm::Sampler{options};  // which refuses what makes no sense, before anything is read or printed
  return options;
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
