#include "adapters/llm/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// As the sampler reads them.
Tensor to_host(const Tensor& logits) { return cast(logits, DType::f32).to(Device::cpu()); }

/// Where they lie: there are too many to be copied for every token.
std::span<const float> numbers_of(const Tensor& logits) {
  return {logits.data<float>(), static_cast<std::size_t>(logits.numel())};
}

}  // namespace

Session::Session(const DecoderModel& model, std::int64_t capacity, std::string_view kv_storage)
    : model_(model), cache_(model.make_cache(1, capacity, kv_storage)) {
  history_.reserve(static_cast<std::size_t>(capacity));
}

Tensor Session::prefill(std::span<const std::int32_t> tokens, std::int64_t chunk,
                        const DecoderModel::Progress& progress) {
  step_.reset();  // options may be others now, and no memory is held meanwhile
  const std::vector<std::int32_t> prompts[] = {{tokens.begin(), tokens.end()}};
  const Tensor logits = to_host(model_.prefill(prompts, cache_, chunk, progress));
  history_.insert(history_.end(), tokens.begin(), tokens.end());
  return logits;
}

Tensor Session::step(std::int32_t token) {
  const Tensor next = tensor<std::int32_t>({token}, {1, 1});
  const std::optional<Device> place = model_.place();
  if (!place || place->type == DeviceType::cpu) {
    const Tensor states = model_.hidden(next, cache_);
    history_.push_back(token);
    return to_host(model_.logits(states));
  }
  // A device is told of a step once.
  const Tensor inputs[] = {cache_.lengths_tensor(), next};
  if (step_) {
    step_->run(inputs);
  } else {
    step_.emplace(*place, inputs, [this](std::span<const Tensor> in) -> std::vector<Tensor> {
      return {cast(model_.logits(model_.hidden_from(in[0], in[1], cache_)), DType::f32)};
    });
  }
  cache_.advance(1);
  history_.push_back(token);
  return to_host(step_->outputs()[0]);
}

void Session::rewind(std::int64_t length) {
  cache_.truncate(static_cast<std::int32_t>(length));
  history_.resize(std::min(history_.size(), static_cast<std::size_t>(length)));
}

Generation Session::generate(std::span<const std::int32_t> prompt, const GenerateOptions& options,
                             const OnToken& on_token, const DecoderModel::Progress& progress) {
  const auto held = static_cast<std::int64_t>(history_.size());
  const auto asked = static_cast<std::int64_t>(prompt.size());
  if (prompt.empty()) throw Error(ErrorCode::invalid_argument, "[generate] the prompt has no tokens");
  if (held + asked > capacity()) {
    const std::string before = held > 0 ? fmt::format(" behind the {} so far", held) : std::string();
    throw Error(ErrorCode::out_of_range, fmt::format("[generate] {} tokens of prompt{} do not fit into a context of {}",
                                                     asked, before, capacity()));
  }
  Sampler sampler(options.sampling);
  Generation result;
  result.prompt_tokens = asked;

  const Stopwatch prefill_watch;
  Tensor logits = prefill(prompt, options.prefill_chunk, progress);
  result.prefill_seconds = prefill_watch.seconds();

  // A last token chosen when the cache is full is still an answer: only what would come after it needs room.
  std::vector<std::int32_t> seen;
  seen.reserve(static_cast<std::size_t>(capacity() + 1));
  seen.assign(history_.begin(), history_.end());
  result.tokens.reserve(static_cast<std::size_t>(std::clamp<std::int64_t>(options.max_tokens, 0, capacity())));
  const std::int64_t choices =
      options.vocabulary > 0 ? std::min<std::int64_t>(logits.numel(), options.vocabulary) : logits.numel();
  const Stopwatch decode_watch;
  while (static_cast<std::int64_t>(result.tokens.size()) < options.max_tokens) {
    const std::int32_t token = sampler(numbers_of(logits).first(static_cast<std::size_t>(choices)), seen);
    if (options.stop.contains(token)) {
      result.stopped_by = token;
      break;
    }
    result.tokens.push_back(token);
    seen.push_back(token);
    const bool go_on = !on_token || on_token(token);
    const bool room = static_cast<std::int64_t>(history_.size()) < capacity();
    const bool wanted = static_cast<std::int64_t>(result.tokens.size()) < options.max_tokens;
    if (!go_on || !room || !wanted) break;
    logits = step(token);
    ++result.decode_steps;
  }
  result.decode_seconds = decode_watch.seconds();
  return result;
}

std::vector<std::vector<std::int32_t>> generate_batch(const DecoderModel& model,
                                                      std::span<const std::vector<std::int32_t>> prompts,
                                                      std::int64_t max_tokens, const std::set<std::int32_t>& stop,
                                                      std::int64_t prefill_chunk) {
  const std::size_t rows = prompts.size();
  std::vector<std::vector<std::int32_t>> results(rows);
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  KvCache cache = model.make_cache(static_cast<std::int64_t>(rows), static_cast<std::int64_t>(longest) + max_tokens);

  Tensor logits = to_host(model.prefill(prompts, cache, prefill_chunk));
  std::vector<std::int32_t> alive(rows, 1);
  for (std::int64_t made = 0; made < max_tokens; ++made) {
    const std::size_t vocabulary = numbers_of(logits).size() / rows;
    std::vector<std::int32_t> next(rows, 0);
    for (std::size_t row = 0; row < rows; ++row) {
      next[row] = greedy(numbers_of(logits).subspan(row * vocabulary, vocabulary));
      if (stop.contains(next[row])) alive[row] = 0;
      if (alive[row]) results[row].push_back(next[row]);
    }
    if (std::count(alive.begin(), alive.end(), 0) == static_cast<std::ptrdiff_t>(rows) || made + 1 == max_tokens) break;
    const Tensor tokens = from_data(std::span<const std::int32_t>(next), {static_cast<std::int64_t>(rows), 1});
    logits = to_host(model.logits(model.hidden(tokens, cache, alive)));  // a row that has ended stays where it is
  }
  return results;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
