#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "adapters/cli/bench/random_model.h"
#include "adapters/cli/bench/table.h"
#include "adapters/cli/bench/weights.h"
#include "adapters/cli/options.h"
#include "adapters/files/checkpoint.h"
#include "adapters/llm/generate.h"
#include "adapters/llm/loader.h"
#include "nibble/error.h"
#include "nibble/vulkan.h"

namespace nibble::cli {
namespace {

constexpr Column kModelColumns[] = {{"prompt_length", "prompt", ""},
                                    {"gen_length", "generated", ""},
                                    {"precision", "precision", ""},
                                    {"prefill_tokens_per_s", "prefill, tokens/s", "{:.1f}"},
                                    {"peak_share", "of peak", "{:.2f}"},
                                    {"peak", "peak", ""},
                                    {"decode_tokens_per_s", "decode, tokens/s", "{:.1f}"},
                                    {"bandwidth_share", "of reading", "{:.2f}"}};

constexpr Column kKernelColumns[] = {
    {"kernel", "kernel", ""}, {"runs", "runs", ""}, {"time_us", "µs", "{:.1f}"}, {"share", "of all", "{:.3f}"}};

struct Subject {
  std::string name, format;
  llm::DecoderModel model;
  std::uint64_t bytes_a_token = 0;  ///< of weights that each token reads
};

using Clock = std::chrono::steady_clock;

/// What one run with the longest answer tells: when prefill ended, and each token after it.
struct Timeline {
  double prefill_seconds = 0;
  std::vector<double> after_prefill;  ///< seconds until the n-th token was there, the first at 0
};

Timeline run_once(const llm::DecoderModel& model, std::int64_t prompt_length, std::int64_t gen_length,
                  const std::string& kv_storage) {
  llm::Session session(model, prompt_length + gen_length + 1, kv_storage);
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < prompt_length; ++i) {
    prompt.push_back(static_cast<std::int32_t>((7919 * i + 17) % model.config().vocab_size));
  }
  llm::GenerateOptions options;
  options.max_tokens = gen_length + 1;  // the first one comes with the prompt
  std::vector<Clock::time_point> times;
  Timeline timeline;
  timeline.prefill_seconds = session
                                 .generate(prompt, options,
                                           [&](std::int32_t) {
                                             times.push_back(Clock::now());
                                             return true;
                                           })
                                 .prefill_seconds;
  for (const Clock::time_point time : times) {
    timeline.after_prefill.push_back(std::chrono::duration<double>(time - times.front()).count());
  }
  return timeline;
}

/// Multiplications and additions of all linear layers but the head for one token.
double layer_operations(const files::ModelConfig& c) {
  const std::int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  std::int64_t products = c.num_hidden_layers * c.hidden_size * (2 * q + 2 * kv);
  for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    const bool sparse = c.experts && c.experts->in_layer(layer);
    const std::int64_t width =
        sparse ? c.experts->used * c.experts->intermediate_size + c.experts->shared_intermediate_size
               : c.intermediate_size;
    products += 3 * c.hidden_size * width;
  }
  return 2.0 * static_cast<double>(products);
}

/// Bytes of a stored model that one token does not read: an embedding that is no head, experts that are not chosen.
std::uint64_t idle_bytes(const files::Checkpoint& checkpoint) {
  const files::ModelConfig& c = checkpoint.config();
  double idle = 0;
  for (const files::TensorInfo& tensor : checkpoint.tensors()) {
    const auto bytes = static_cast<double>(tensor.bytes);
    if (tensor.name == "model.embed_tokens.weight" && !c.tie_word_embeddings) idle += bytes;
    if (c.experts && tensor.name.find(".switch_mlp.") != std::string::npos) {
      idle += bytes * (1 - static_cast<double>(c.experts->used) / static_cast<double>(c.experts->count));
    }
  }
  return static_cast<std::uint64_t>(idle);
}

/// Tokens of the longest prompt with the longest answer.
double longest(const std::vector<std::int64_t>& prompts, const std::vector<std::int64_t>& answers) {
  return static_cast<double>(*std::max_element(prompts.begin(), prompts.end())) +
         static_cast<double>(*std::max_element(answers.begin(), answers.end()));
}

class Model final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.option("MODEL", &path_, "a Hugging Face or mlx-lm folder, or a .gguf file");
    arguments.option("--shape", &shape_, fmt::format("random weights of a known shape: {}", shape_names()));
    arguments.option("--format", &format_, "how weights are stored (default: affine4-g64, MODEL as it is)");
    arguments.list("--prompt-lengths", &prompt_lengths_, "in tokens");
    arguments.list("--gen-lengths", &gen_lengths_, "in tokens");
    arguments.option("--dtype", &dtype_, "of activations: f32, f16 or bf16");
    arguments.option("--kv-dtype", &kv_storage_, "of the KV cache: also a packed format, q8_0, ... (default: --dtype)");
    arguments.flag("--profile", &profile_, "also the time that the device spends on each kernel in one run");
    options_.declare_device(arguments);
    options_.declare_precisions(arguments);
    options_.declare(arguments);
  }

  Json run(const Console&) override {
    options_.apply();
    require_positive("--prompt-lengths", prompt_lengths_);
    require_positive("--gen-lengths", gen_lengths_);
    if (path_.empty() == shape_.empty()) {
      throw Error(ErrorCode::invalid_argument, "[bench model] either MODEL or --shape must be given");
    }
    Options there = nibble::options();
    there.device = options_.device();
    set_default_options(there);
    const DType dtype = parse_float_dtype("--dtype", dtype_);
    check_kv_storage(kv_storage_);
    const std::string kv_storage(kv_storage_.empty() ? name(dtype) : kv_storage_);
    if (!format_.empty()) require_known_format(format_);
    const Subject subject = path_.empty() ? make_random(dtype) : load(dtype);
    require_memory("the KV cache", longest(prompt_lengths_, gen_lengths_) * bytes_held(subject, kv_storage));
    Meter meter(options_.seconds(), there.device);
    Json results = Json::array();
    for (const Precision precision : options_.precisions()) {
      Options options = nibble::options();
      options.precision = precision;
      const with in_force(options);
      for (const std::int64_t length : prompt_lengths_)
        measure(subject, precision, length, kv_storage, meter, &results);
    }
    Json result = {{"machine", meter.machine()}, {"results", std::move(results)}};
    if (profile_) result["profile"] = kernel_times(subject, kv_storage);
    return result;
  }

  void print(const Json& result) const override {
    print_machine(result["machine"]);
    const Json& first = result["results"][0];
    fmt::print("{}, {}, {:.1f} MB of weights\n", first["model"].get<std::string>(), first["format"].get<std::string>(),
               first["weight_bytes"].get<double>() * 1e-6);
    print_table(result["results"], kModelColumns);
    if (result.contains("profile")) print_table(result["profile"], kKernelColumns);
  }

 private:
  Subject make_random(DType dtype) const {
    const std::string format = format_.empty() ? "affine4-g64" : format_;
    RandomModel made = random_model(shape_, format, dtype);
    const std::uint64_t bytes = made.model.weight_bytes() - made.idle_bytes;
    return {shape_, format, std::move(made.model), bytes};
  }

  Subject load(DType dtype) const {
    files::Checkpoint checkpoint = files::Checkpoint::open(path_);
    if (!format_.empty()) checkpoint.pack_while_loading(format_);
    llm::LoadOptions options;
    options.dtype = dtype;
    llm::DecoderModel model = llm::load_decoder(checkpoint, options);
    const std::string stored = checkpoint.find("model.layers.0.self_attn.o_proj.weight")->format;
    const std::uint64_t bytes = model.weight_bytes() - idle_bytes(checkpoint);
    return {checkpoint.path().filename().string(), stored, std::move(model), bytes};
  }

  /// Of the first prompt and one token more.
  Json kernel_times(const Subject& subject, const std::string& kv_storage) const {
    const std::vector<KernelTime> times =
        profile(options_.device(), [&] { run_once(subject.model, prompt_lengths_.front(), 1, kv_storage); });
    double all = 0;
    for (const KernelTime& time : times) all += time.seconds;
    Json rows = Json::array();
    for (const KernelTime& time : times) {
      rows.push_back({{"kernel", time.kernel},
                      {"runs", time.runs},
                      {"time_us", time.seconds * 1e6},
                      {"share", all > 0 ? time.seconds / all : 0}});
    }
    return rows;
  }

  void measure(const Subject& subject, Precision precision, std::int64_t prompt_length, const std::string& kv_storage,
               Meter& meter, Json* results) const {
    const std::int64_t longest = *std::max_element(gen_lengths_.begin(), gen_lengths_.end());
    const Arithmetic kind =
        is_dense_format(subject.format) ? Arithmetic::fp32 : peak_of_packed(precision, options_.device());
    std::vector<Timeline> rounds;
    std::vector<double> bandwidths, peaks;
    run_once(subject.model, std::min<std::int64_t>(prompt_length, 8), 1, kv_storage);  // what is made at the first call
    const auto begin = Clock::now();
    const auto probe = [&] {
      bandwidths.push_back(meter.bandwidth());
      peaks.push_back(meter.peak(kind));
    };
    probe();
    constexpr std::size_t kLeastRounds = 3;
    while (rounds.size() < kLeastRounds || Clock::now() - begin < std::chrono::duration<double>(options_.seconds())) {
      rounds.push_back(run_once(subject.model, prompt_length, longest, kv_storage));
      probe();
    }
    for (const std::int64_t gen_length : gen_lengths_) {
      Spreads spreads;
      const double bytes = bytes_a_token(subject, prompt_length, gen_length, kv_storage);
      for (std::size_t i = 0; i < rounds.size(); ++i) {
        const double prefill = static_cast<double>(prompt_length) / rounds[i].prefill_seconds;
        const double decode =
            static_cast<double>(gen_length) / rounds[i].after_prefill[static_cast<std::size_t>(gen_length)];
        spreads.add("prefill_tokens_per_s", prefill);
        spreads.add("peak_share",
                    prefill * layer_operations(subject.model.config()) / (0.5 * (peaks[i] + peaks[i + 1])));
        spreads.add("decode_tokens_per_s", decode);
        spreads.add("bandwidth_share", decode * bytes / (0.5 * (bandwidths[i] + bandwidths[i + 1])));
      }
      Json row = {{"model", subject.name},
                  {"format", subject.format},
                  {"prompt_length", prompt_length},
                  {"gen_length", gen_length},
                  {"precision", name_of(precision)},
                  {"isa", cpu_unit()},
                  {"threads", num_threads()},
                  {"device", to_string(options_.device())},
                  {"dtype", dtype_},
                  {"kv_dtype", kv_storage},
                  {"weight_bytes", subject.model.weight_bytes()},
                  {"bytes_per_token", bytes},
                  {"peak", name_of(available(kind, options_.device()))}};
      row.update(spreads.json());
      results->push_back(std::move(row));
    }
  }

  /// What one token of the answer reads, on average: weights, and the keys and values before it.
  static double bytes_a_token(const Subject& subject, std::int64_t prompt_length, std::int64_t gen_length,
                              const std::string& kv_storage) {
    const double held = static_cast<double>(prompt_length) + 0.5 * static_cast<double>(gen_length + 1);
    return static_cast<double>(subject.bytes_a_token) + held * bytes_held(subject, kv_storage);
  }

  /// By the keys and values of one token.
  static double bytes_held(const Subject& subject, const std::string& kv_storage) {
    const files::ModelConfig& c = subject.model.config();
    return static_cast<double>(2 * c.num_hidden_layers * c.num_key_value_heads) *
           static_cast<double>(empty({c.head_dim}, kv_storage).nbytes());
  }

  BenchOptions options_;
  bool profile_ = false;
  std::string path_, shape_, format_, dtype_ = "f32", kv_storage_;
  std::vector<std::int64_t> prompt_lengths_{1, 32, 128, 512}, gen_lengths_{32, 128};
};

}  // namespace

std::unique_ptr<Command> make_bench_model() { return std::make_unique<Model>(); }

}  // namespace nibble::cli
