#include "adapters/llm/scoring.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "adapters/llm/sampling.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

/// ln Σ exp(x), in fp64.
double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - largest);
  return largest + std::log(total);
}

/// KL(p ‖ q) of the distributions that two rows of logits mean.
double divergence(std::span<const float> p, std::span<const float> q) {
  const double p_norm = log_sum_exp(p), q_norm = log_sum_exp(q);
  double total = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double p_log = p[i] - p_norm;
    total += std::exp(p_log) * (p_log - (q[i] - q_norm));
  }
  return total;
}

/// One pass of a chunk: its logits in row-major order.
std::vector<float> run_chunk(const DecoderModel& model, KvCache& cache, std::span<const std::int32_t> tokens) {
  const Tensor ids = from_data(tokens, {1, static_cast<std::int64_t>(tokens.size())});
  return cast(model.logits(model.hidden(ids, cache)), DType::f32).to_vector<float>();
}

Score score_window(const DecoderModel& model, std::span<const std::int32_t> tokens, const ScoreOptions& options,
                   const DecoderModel::Progress& progress) {
  Score result;
  const auto capacity = static_cast<std::int64_t>(tokens.size());
  KvCache cache = model.make_cache(1, capacity, options.kv_storage);
  KvCache reference_cache =
      options.reference ? options.reference->make_cache(1, capacity, options.kv_storage) : model.make_cache(1, 1);
  const auto vocabulary = static_cast<std::size_t>(model.config().vocab_size);

  // The last token foretells nothing that is scored, so it is not run.
  for (std::size_t begin = 0; begin + 1 < tokens.size(); begin += static_cast<std::size_t>(options.chunk)) {
    const std::size_t count = std::min(tokens.size() - 1 - begin, static_cast<std::size_t>(options.chunk));
    const auto chunk = tokens.subspan(begin, count);
    const std::vector<float> logits = run_chunk(model, cache, chunk);
    std::vector<float> reference;
    if (options.reference) reference = run_chunk(*options.reference, reference_cache, chunk);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = std::span(logits).subspan(i * vocabulary, vocabulary);
      result.negative_log_likelihood += log_sum_exp(row) - row[static_cast<std::size_t>(tokens[begin + i + 1])];
      if (!options.reference) continue;
      const auto other = std::span(reference).subspan(i * vocabulary, vocabulary);
      result.divergence += divergence(other, row);
      result.same_choice += greedy(other) == greedy(row);
    }
    result.tokens += static_cast<std::int64_t>(count);
    if (progress) progress(result.tokens);
  }
  return result;
}

}  // namespace

double Score::perplexity() const { return std::exp(mean_nll()); }

Score& Score::operator+=(const Score& other) {
  tokens += other.tokens;
  negative_log_likelihood += other.negative_log_likelihood;
  divergence += other.divergence;
  same_choice += other.same_choice;
  return *this;
}

Score score(const DecoderModel& model, std::span<const std::int32_t> tokens, const ScoreOptions& options,
            const DecoderModel::Progress& progress) {
  const std::int64_t vocabulary = model.config().vocab_size;
  if (options.reference && options.reference->config().vocab_size != vocabulary) {
    throw Error(ErrorCode::shape_mismatch,
                fmt::format("[perplexity] vocabularies of {} and {} tokens cannot be compared", vocabulary,
                            options.reference->config().vocab_size));
  }
  for (const std::int32_t token : tokens) {
    if (token >= 0 && token < vocabulary) continue;
    throw Error(ErrorCode::out_of_range,
                fmt::format("[perplexity] token {}: the vocabulary has {}", token, vocabulary));
  }
  const std::int64_t context =
      options.context > 0 ? options.context : std::max<std::int64_t>(model.config().max_position_embeddings, 2);
  Score total;
  for (std::size_t begin = 0; begin < tokens.size(); begin += static_cast<std::size_t>(context)) {
    const std::size_t count = std::min(tokens.size() - begin, static_cast<std::size_t>(context));
    const std::int64_t before = total.tokens;
    total += score_window(model, tokens.subspan(begin, count), options, [&](std::int64_t done) {
      if (progress) progress(before + done);
    });
  }
  return total;
}

void for_each_logits(const DecoderModel& model, std::span<const std::int32_t> tokens, std::int64_t chunk,
                     std::string_view kv_storage, const VisitLogits& visit) {
  KvCache cache = model.make_cache(1, static_cast<std::int64_t>(tokens.size()), kv_storage);
  for (std::size_t begin = 0; begin < tokens.size(); begin += static_cast<std::size_t>(chunk)) {
    const std::size_t count = std::min(tokens.size() - begin, static_cast<std::size_t>(chunk));
    const std::vector<float> logits = run_chunk(model, cache, tokens.subspan(begin, count));
    visit(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(count), logits);
  }
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
