#include "adapters/llm/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

/// (B, T, heads · D) → (B, heads, T, D), the norm of Qwen3 applied to each head.
Tensor to_heads(const Tensor& x, std::int64_t heads, const Tensor& norm, double eps) {
  Tensor split_heads = reshape(x, {x.size(0), x.size(1), heads, -1});
  if (norm.defined()) split_heads = rms_norm(split_heads, norm, eps);
  return swapaxes(split_heads, 1, 2);
}

/// (B, heads, T, D) → (B, T, heads · D).
Tensor from_heads(const Tensor& x) { return reshape(swapaxes(x, 1, 2), {x.size(0), x.size(2), x.size(1) * x.size(3)}); }

}  // namespace

struct DecoderModel::Step {
  Tensor starts;       // (B,): where each row's new tokens begin
  Tensor positions;    // (B, T)
  Tensor key_lengths;  // (B,)
  Tensor window_mask;  // of layers that slide: (B, 1, T, capacity), or undefined
  RopeFrequencies frequencies;

  /// All of it where the next layer lies.
  void move_to(Device device) {
    for (Tensor* t : {&starts, &positions, &key_lengths, &window_mask, &frequencies.inverse}) {
      if (t->defined()) *t = t->to(device);
    }
  }
};

namespace {

/// What is made in a call is made where its first layer lies, wherever else tensors are made.
Options made_on(Device device) {
  Options o = options();
  o.device = device;
  return o;
}

}  // namespace

DecoderModel::DecoderModel(files::ModelConfig config, DecoderWeights weights, DType dtype)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      dtype_(dtype),
      frequencies_(rope_frequencies(config_.head_dim, config_.rope_theta, config_.rope_scaling)) {
  if (const auto& factors = config_.rope_factors; !factors.empty()) {
    const Tensor divisors = from_data(std::span(factors), {static_cast<std::int64_t>(factors.size())});
    frequencies_.inverse = frequencies_.inverse / divisors;
  }
  frequencies_.inverse = frequencies_.inverse.to(weights_.embedding.device());
}

std::uint64_t DecoderModel::weight_bytes() const {
  std::uint64_t total = weights_.embedding.nbytes() + weights_.norm.nbytes();
  if (!weights_.tied_head) total += weights_.head.nbytes();
  for (const DecoderLayer& layer : weights_.layers) {
    const Attention& a = layer.attention;
    for (const Linear* linear : {&a.query, &a.key, &a.value, &a.output}) total += linear->nbytes();
    total += std::visit([](const auto& network) { return network.nbytes(); }, layer.feed_forward);
    for (const Tensor* norm : {&layer.input_norm, &layer.post_attention_norm, &a.query_norm, &a.key_norm}) {
      if (norm->defined()) total += norm->nbytes();
    }
  }
  return total;
}

KvCache DecoderModel::make_cache(std::int64_t batch, std::int64_t capacity, std::string_view storage) const {
  std::vector<Device> devices;
  for (const DecoderLayer& layer : weights_.layers) devices.push_back(place_of(layer));
  return KvCache({config_.num_hidden_layers, batch, config_.num_key_value_heads, capacity, config_.head_dim},
                 storage.empty() ? name(dtype_) : storage, devices);
}

Tensor DecoderModel::hidden(const Tensor& tokens, KvCache& cache, std::span<const std::int32_t> counts) const {
  const std::int64_t batch = tokens.size(0), length = tokens.size(1);
  const auto longest = *std::max_element(cache.lengths().begin(), cache.lengths().end());
  if (batch != cache.batch() || longest + length > cache.capacity()) {
    throw Error(ErrorCode::out_of_range,
                fmt::format("[model] {} tokens for each of {} rows: the cache is for {} rows of {} and holds {}",
                            length, batch, cache.batch(), cache.capacity(), longest));
  }
  const bool slides = config_.sliding_window && longest + length > *config_.sliding_window;
  const with there(made_on(weights_.embedding.device()));
  const Tensor states = run(cache.lengths_tensor(), tokens, slides, cache);
  if (counts.empty()) {
    cache.advance(static_cast<std::int32_t>(length));
  } else {
    cache.advance(counts);
  }
  return states;
}

Tensor DecoderModel::hidden_from(const Tensor& starts, const Tensor& tokens, KvCache& cache) const {
  const with there(made_on(weights_.embedding.device()));
  return run(starts, tokens, config_.sliding_window.has_value(), cache);
}

std::optional<Device> DecoderModel::place() const {
  const Device first = weights_.embedding.device();
  const auto& layers = weights_.layers;
  const bool all = std::all_of(layers.begin(), layers.end(), [&](const auto& l) { return place_of(l) == first; });
  return all && weights_.norm.device() == first ? std::optional(first) : std::nullopt;
}

Tensor DecoderModel::run(const Tensor& starts, const Tensor& tokens, bool slides, KvCache& cache) const {
  const std::int64_t length = tokens.size(1);
  Step step;
  step.frequencies = frequencies_;
  step.starts = starts.to(weights_.embedding.device());
  step.positions = expand_dims(step.starts, 1) + arange(0, length);
  step.key_lengths = step.starts + static_cast<int>(length);
  if (slides) step.window_mask = window_mask(step.starts, length, cache.capacity());

  step.move_to(weights_.embedding.device());
  Tensor x = cast(take(weights_.embedding, tokens.to(weights_.embedding.device())), dtype_);
  for (std::int64_t index = 0; index < config_.num_hidden_layers; ++index) {
    const DecoderLayer& layer = weights_.layers[static_cast<std::size_t>(index)];
    if (const Device place = place_of(layer); x.device() != place) {
      x = x.to(place);
      step.move_to(place);
    }
    x = x + attend(layer, index, rms_norm(x, layer.input_norm, config_.rms_norm_eps), step, cache);
    const Tensor normed = rms_norm(x, layer.post_attention_norm, config_.rms_norm_eps);
    x = x + std::visit([&](const auto& network) { return network(normed); }, layer.feed_forward);
  }
  return rms_norm(x, weights_.norm, config_.rms_norm_eps);
}

Tensor DecoderModel::attend(const DecoderLayer& layer, std::int64_t index, const Tensor& x, const Step& step,
                            KvCache& cache) const {
  const Attention& a = layer.attention;
  const auto rotate = [&](const Tensor& heads) { return rope(heads, step.positions, step.frequencies); };
  // None of the products waits for another: a device computes them at once.
  const Tensor queries = a.query(x), keys = a.key(x), values = a.value(x);
  const Tensor q = rotate(to_heads(queries, config_.num_attention_heads, a.query_norm, config_.rms_norm_eps));
  const Tensor k = rotate(to_heads(keys, config_.num_key_value_heads, a.key_norm, config_.rms_norm_eps));
  const Tensor v = to_heads(values, config_.num_key_value_heads, {}, 0);

  // Padding at a row's right end writes keys too: the causal mask hides them from the row's own tokens, and the next
  // call writes over them.
  const KvCache::View held = cache.append(index, k, v, step.starts);
  AttentionOptions options;
  options.causal = true;
  options.key_length = step.key_lengths;
  if (config_.slides(index)) options.mask = step.window_mask;
  const Tensor seen = scaled_dot_product_attention(q, held.keys, held.values, options);
  return a.output(cast(from_heads(seen), dtype_));
}

Tensor DecoderModel::window_mask(const Tensor& starts, std::int64_t tokens, std::int64_t capacity) const {
  const Tensor queries = reshape(starts, {-1, 1, 1, 1}) + reshape(arange(0, tokens), {1, 1, -1, 1});
  const Tensor keys = reshape(arange(0, capacity), {1, 1, 1, -1});
  return less(queries - keys, static_cast<int>(*config_.sliding_window));
}

Tensor DecoderModel::logits_of(const Tensor& tokens) const {
  KvCache cache = make_cache(tokens.size(0), tokens.size(1));
  return logits(hidden(tokens, cache));
}

Tensor DecoderModel::prefill(std::span<const std::vector<std::int32_t>> prompts, KvCache& cache, std::int64_t chunk,
                             const Progress& progress) const {
  std::size_t longest = 0;
  for (const auto& prompt : prompts) {
    if (prompt.empty()) throw Error(ErrorCode::invalid_argument, "[model] an empty prompt has no next token");
    longest = std::max(longest, prompt.size());
  }
  std::vector<Tensor> last(prompts.size());  // each row's last hidden state, (hidden,)
  for (std::size_t begin = 0; begin < longest; begin += static_cast<std::size_t>(chunk)) {
    const std::size_t width = std::min(longest - begin, static_cast<std::size_t>(chunk));
    std::vector<std::int32_t> tokens(prompts.size() * width, 0), counts;
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      const auto& prompt = prompts[row];
      const std::size_t count = std::min(width, prompt.size() - std::min(begin, prompt.size()));
      std::copy_n(prompt.begin() + static_cast<std::ptrdiff_t>(std::min(begin, prompt.size())), count,
                  tokens.begin() + static_cast<std::ptrdiff_t>(row * width));
      counts.push_back(static_cast<std::int32_t>(count));
    }
    const Shape shape{static_cast<std::int64_t>(prompts.size()), static_cast<std::int64_t>(width)};
    const Tensor states = hidden(from_data(std::span<const std::int32_t>(tokens), shape), cache, counts);
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      const std::size_t end = prompts[row].size();
      if (end <= begin || end > begin + width) continue;
      last[row] =
          select(select(states, 0, static_cast<std::int64_t>(row)), 0, static_cast<std::int64_t>(end - begin - 1));
    }
    if (progress) progress(static_cast<std::int64_t>(begin + width));
  }
  return logits(stack(last));
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
