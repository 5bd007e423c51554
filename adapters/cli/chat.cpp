#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "adapters/cli/conversation.h"
#include "adapters/cli/progress.h"
#include "adapters/llm/generate.h"
#include "nibble/error.h"

namespace nibble::cli {
namespace {

class Chat final : public Command {
 public:
  void declare(Arguments& arguments) override {
    model_.declare(arguments);
    arguments.option("--system", &system_, "the system message (default: the template's own)");
    arguments.option("--max-tokens", &max_tokens_, "at most so many tokens an answer");
    arguments.option("--context", &context_, "tokens of the whole conversation (default: the model's, at most 8192)");
    sampling_.declare(arguments);
    compute_.declare(arguments);
    arguments.footer("Each line of standard input is one message; the end of the input ends the conversation.");
  }

  Json run(const Console& console) override {
    compute_.apply();
    require_at_least(1, "--max-tokens", max_tokens_);
    if (context_) require_at_least(1, "--context", *context_);
    const LoadedModel loaded = model_.load(compute_);
    llm::GenerateOptions options;
    options.sampling = sampling_.resolve(loaded.checkpoint.generation());
    options.max_tokens = max_tokens_;
    options.stop = end_tokens(loaded.checkpoint);
    options.vocabulary = loaded.tokenizer().vocab_size();
    constexpr std::int64_t kMost = 8192;
    llm::Session session(loaded.model,
                         context_.value_or(std::min(kMost, loaded.model.config().max_position_embeddings)),
                         compute_.kv_storage());

    Json turns = Json::array();
    std::vector<llm::ChatMessage> messages;
    if (!system_.empty()) messages.push_back({"system", system_});
    for (std::string line; next_line(line);) {
      if (line.empty()) continue;
      messages.push_back({"user", line});
      messages.push_back({"assistant", answer(loaded, session, messages, options, !console.json)});
      turns.push_back({{"user", line}, {"assistant", messages.back().content}});
      ++options.sampling.seed;  // another turn, other draws
    }
    return {{"turns", std::move(turns)}};
  }

  void print(const Json&) const override {}

 private:
  static bool next_line(std::string& line) {
    if (stdin_is_terminal()) {
      fmt::print("> ");
      std::fflush(stdout);
    }
    if (!std::getline(std::cin, line)) return false;
    if (line.ends_with('\r')) line.pop_back();  // of a text written elsewhere
    return true;
  }

  /// Runs only what the cache does not hold yet: the conversation is written anew for each turn, and what its tokens
  /// have in common with the last one's stays.
  static std::string answer(const LoadedModel& loaded, llm::Session& session,
                            std::span<const llm::ChatMessage> messages, const llm::GenerateOptions& options,
                            bool echo) {
    const std::vector<std::int32_t> ids = encode_chat(loaded, messages);
    const auto& held = session.history();
    const auto common = std::mismatch(held.begin(), held.end(), ids.begin(), ids.end()).second - ids.begin();
    const auto kept = std::min<std::ptrdiff_t>(common, static_cast<std::ptrdiff_t>(ids.size()) - 1);
    session.rewind(kept);
    TextPrinter printer(loaded.tokenizer(), false, echo);
    session.generate(std::span(ids).subspan(static_cast<std::size_t>(kept)), options, [&](std::int32_t token) {
      printer.add(token);
      return true;
    });
    printer.finish();
    if (echo) fmt::print("\n");
    return printer.text();
  }

  ModelOptions model_;
  ComputeOptions compute_;
  SamplingFlags sampling_;
  std::string system_;
  std::int64_t max_tokens_ = 1024;
  std::optional<std::int64_t> context_;
};

}  // namespace

std::unique_ptr<Command> make_chat() { return std::make_unique<Chat>(); }

}  // namespace nibble::cli
