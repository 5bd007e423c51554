#include "adapters/llm/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "adapters/cli/command.h"
#include "adapters/cli/conversation.h"
#include "adapters/cli/progress.h"
#include "nibble/error.h"
#include "nibble/options.h"
#include "nibble/transfer.h"

namespace nibble::cli {
namespace {

/// How many each device has run, the CPU's always told.
Json operations_by_device() {
  Json counts = Json::object();
  for (const DeviceInfo& info : devices()) {
    const std::uint64_t count = operations(info.device);
    if (count > 0 || info.device == Device::cpu()) counts[to_string(info.device)] = count;
  }
  return counts;
}

class Generate final : public Command {
 public:
  void declare(Arguments& arguments) override {
    model_.declare(arguments);
    arguments.required("--prompt", &prompt_, "the text to continue");
    arguments.option("--max-tokens", &max_tokens_, "at most so many new tokens");
    arguments.option("--context", &context_, "tokens of prompt and answer together (default: the model's)");
    arguments.flag("--chat", &chat_, "wrap the prompt in the model's own chat template");
    arguments.flag("--ignore-eos", &ignore_eos_, "go on after the model's end tokens");
    sampling_.declare(arguments);
    compute_.declare(arguments);
  }

  Json run(const Console& console) override {
    compute_.apply();
    if (context_) require_at_least(1, "--context", *context_);
    require_at_least(1, "--max-tokens", max_tokens_);
    const LoadedModel loaded = model_.load(compute_);
    const std::vector<std::int32_t> prompt = encode_prompt(loaded);
    const auto asked = static_cast<std::int64_t>(prompt.size());

    llm::GenerateOptions options;
    options.sampling = sampling_.resolve(loaded.checkpoint.generation());
    const std::int64_t context = context_.value_or(loaded.model.config().max_position_embeddings);
    if (asked >= context) {
      throw Error(ErrorCode::out_of_range,
                  fmt::format("[generate] {} tokens of prompt leave no room in a context of {}", asked, context));
    }
    options.max_tokens = std::min(max_tokens_, context - asked);
    options.vocabulary = loaded.tokenizer().vocab_size();
    if (!ignore_eos_) options.stop = end_tokens(loaded.checkpoint);

    llm::Session session(loaded.model, asked + options.max_tokens, compute_.kv_storage());
    Progress progress("prompt", asked);
    const bool continues_text = !chat_ && !prompt_.empty();
    TextPrinter printer(loaded.tokenizer(), continues_text, !console.json);
    const llm::Generation made = session.generate(
        prompt, options,
        [&](std::int32_t token) {
          progress.clear();
          printer.add(token);
          return true;
        },
        [&](std::int64_t done) { progress.update(done); });
    printer.finish();
    return {{"text", printer.text()},
            {"tokens", made.tokens.size()},
            {"prompt_tokens", made.prompt_tokens},
            {"prefill_tokens_per_s", made.prefill_tokens_per_s()},
            {"decode_tokens_per_s", made.decode_tokens_per_s()},
            {"weight_bytes", loaded.model.weight_bytes()},
            {"peak_rss_bytes", peak_rss_bytes()},
            {"dequantized_bytes", stats().bytes_dequantized},
            {"moved_bytes", stats().bytes_moved},
            {"operations", operations_by_device()},
            {"token_ids", made.tokens},
            {"finish_reason", made.stopped_by ? "stop" : "length"}};
  }

  void print(const Json& result) const override {
    fmt::print("\n");
    std::fflush(stdout);
    if (!stderr_is_terminal()) return;
    fmt::print(stderr, "[{} tokens of prompt at {:.1f}/s · {} tokens at {:.1f}/s]\n",
               result["prompt_tokens"].get<std::int64_t>(), result["prefill_tokens_per_s"].get<double>(),
               result["tokens"].get<std::int64_t>(), result["decode_tokens_per_s"].get<double>());
  }

 private:
  std::vector<std::int32_t> encode_prompt(const LoadedModel& loaded) const {
    if (!chat_) return encode_text(loaded.tokenizer(), prompt_);
    const llm::ChatMessage messages[] = {{"user", prompt_}};
    return encode_chat(loaded, messages);
  }

  ModelOptions model_;
  ComputeOptions compute_;
  SamplingFlags sampling_;
  std::string prompt_;
  std::int64_t max_tokens_ = 256;
  std::optional<std::int64_t> context_;
  bool chat_ = false, ignore_eos_ = false;
};

}  // namespace

std::unique_ptr<Command> make_generate() { return std::make_unique<Generate>(); }

}  // namespace nibble::cli
