#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "adapters/cli/command.h"
#include "adapters/cli/loaded_model.h"
#include "adapters/cli/options.h"
#include "adapters/cli/progress.h"
#include "adapters/llm/scoring.h"
#include "nibble/error.h"
#include "nibble/options.h"

namespace nibble::cli {
namespace {

class Perplexity final : public Command {
 public:
  void declare(Arguments& arguments) override {
    model_.declare(arguments);
    arguments.required("--text", &texts_, "a file to score, alone; may be repeated");
    arguments.option("--against", &against_,
                     "a reference model: adds the mean KL divergence from it and top-1 agreement");
    arguments.option("--context", &context_,
                     "a longer text is cut in windows of so many tokens, each scored alone (default: the model's)");
    compute_.declare(arguments);
  }

  Json run(const Console&) override {
    compute_.apply();
    if (context_) require_at_least(2, "--context", *context_);
    std::vector<std::string> texts;
    for (const std::string& path : texts_) texts.push_back(read_text(path));

    const LoadedModel loaded = model_.load(compute_);
    std::optional<LoadedModel> reference;
    if (!against_.empty()) reference.emplace(ModelOptions::load_plain(against_, compute_.dtype()));

    std::vector<std::vector<std::int32_t>> ids;
    std::int64_t total = 0;
    for (const std::string& text : texts) {
      ids.push_back(encode_text(loaded.tokenizer(), text));
      total += static_cast<std::int64_t>(ids.back().size());
    }
    llm::ScoreOptions options;
    options.context = context_.value_or(0);
    options.kv_storage = compute_.kv_storage();
    options.reference = reference ? &reference->model : nullptr;
    llm::Score score;
    Progress progress("scoring", total);
    for (const auto& tokens : ids) {
      const std::int64_t before = score.tokens;
      score += llm::score(loaded.model, tokens, options, [&](std::int64_t done) { progress.update(before + done); });
    }
    progress.clear();
    if (score.tokens == 0) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("--text {}: nothing to score: a text needs at least two tokens", fmt::join(texts_, ", ")));
    }
    return report(loaded, score);
  }

  void print(const Json& result) const override {
    fmt::print("perplexity {:.4f} · mean nll {:.6f} · {} tokens\n", result["perplexity"].get<double>(),
               result["mean_nll"].get<double>(), result["tokens"].get<std::int64_t>());
    if (!result.contains("mean_kl")) return;
    fmt::print("mean KL divergence {:.6f} · top-1 agreement {:.2f} %\n", result["mean_kl"].get<double>(),
               100 * result["top1_agreement"].get<double>());
  }

 private:
  Json report(const LoadedModel& loaded, const llm::Score& score) const {
    Json result = {{"perplexity", score.perplexity()}, {"mean_nll", score.mean_nll()}, {"tokens", score.tokens}};
    if (!against_.empty()) {
      result["mean_kl"] = score.mean_divergence();
      result["top1_agreement"] = score.agreement();
    }
    result["weight_bytes"] = loaded.model.weight_bytes();
    result["peak_rss_bytes"] = peak_rss_bytes();
    result["dequantized_bytes"] = stats().bytes_dequantized;
    return result;
  }

  ModelOptions model_;
  ComputeOptions compute_;
  std::vector<std::string> texts_;
  std::string against_;
  std::optional<std::int64_t> context_;
};

}  // namespace

std::unique_ptr<Command> make_perplexity() { return std::make_unique<Perplexity>(); }

}  // namespace nibble::cli
