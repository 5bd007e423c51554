#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "adapters/cli/interruption.h"
#include "adapters/cli/loaded_model.h"
#include "adapters/cli/npy.h"
#include "adapters/cli/options.h"
#include "adapters/cli/progress.h"
#include "adapters/llm/scoring.h"
#include "nibble/error.h"

namespace nibble::cli {
namespace {

class Logits final : public Command {
 public:
  void declare(Arguments& arguments) override {
    model_.declare(arguments);
    arguments.required("--tokens", &tokens_, "token ids, 1,2,3");
    arguments.required("--out", &out_, "the .npy file to write: (tokens, vocabulary) float32");
    compute_.declare(arguments);
  }

  Json run(const Console&) override {
    compute_.apply();
    if (out_.empty()) refuse("--out: is empty");
    const std::vector<std::int32_t> tokens = parse_tokens();
    const LoadedModel loaded = model_.load(compute_);
    const std::int64_t vocabulary = loaded.model.config().vocab_size;
    for (const std::int32_t token : tokens) {
      if (token >= 0 && token < vocabulary) continue;
      throw Error(ErrorCode::out_of_range, fmt::format("--tokens {}: the vocabulary has {}", token, vocabulary));
    }
    const auto count = static_cast<std::int64_t>(tokens.size());
    const InterruptGuard interrupt;
    NpyWriter out(out_, count, vocabulary);
    Progress progress("logits", count);
    constexpr std::int64_t kChunk = 128;
    llm::for_each_logits(loaded.model, tokens, kChunk, compute_.kv_storage(),
                         [&](std::int64_t first, std::int64_t rows, std::span<const float> values) {
                           interrupt.check();
                           out.write(values);
                           progress.update(first + rows);
                         });
    out.commit();
    return {{"out", out_}, {"shape", {count, vocabulary}}};
  }

  void print(const Json& result) const override {
    fmt::print("{}: {} rows of {} logits\n", out_, result["shape"][0].get<std::int64_t>(),
               result["shape"][1].get<std::int64_t>());
  }

 private:
  /// "1,2,3": an id between every two commas. (Left to CLI11, an empty text would be token 0.)
  std::vector<std::int32_t> parse_tokens() const {
    std::vector<std::int32_t> tokens;
    for (const std::string& list : tokens_) {
      for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t comma = std::min(list.find(',', begin), list.size());
        std::int32_t token = 0;
        const auto [end, error] = std::from_chars(list.data() + begin, list.data() + comma, token);
        if (error != std::errc() || end != list.data() + comma) {
          throw Error(ErrorCode::invalid_argument,
                      fmt::format("--tokens {}: \"{}\" is not a token id", list, list.substr(begin, comma - begin)));
        }
        tokens.push_back(token);
        begin = comma + 1;
      }
    }
    return tokens;
  }

  ModelOptions model_;
  ComputeOptions compute_;
  std::vector<std::string> tokens_;
  std::string out_;
};

}  // namespace

std::unique_ptr<Command> make_logits() { return std::make_unique<Logits>(); }

}  // namespace nibble::cli
