#include "backend/cpu/units/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "backend/cpu/attention_cache.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/strided.h"
#include "backend/cpu/units/select.h"
#include "nibble/error.h"
#include "quant_tensor/tensor/values.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// How panels are computed: in fp32, or where the caller asks for speed in anything narrower that is faster.
const cpu::PanelKernel& panel_kernel(const cpu::Unit& unit, Precision precision) {
  const cpu::Bf16Unit* bf16 = precision == Precision::fast ? cpu::bf16_of(unit) : nullptr;
  return bf16 != nullptr && bf16->attention != nullptr ? *bf16->attention : unit.attention->exact;
}

using cpu::kTileKeys;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Query rows from which on a panel's arithmetic outweighs the lanes that it leaves empty.
constexpr std::int64_t kFewRows = 24;
/// Query rows that share a converted tile of the cache.
constexpr std::int64_t kBlockRows = 256;

struct Sizes {
  std::int64_t batch, heads, kv_heads, queries, keys, depth, width;
  std::int64_t group() const { return heads / kv_heads; }
  /// Query rows of one head of the cache: query after query, and for each the heads of the group.
  std::int64_t rows() const { return queries * group(); }
};

/// How the work is cut: into blocks of rows, which changes no bit of a result, and into ranges of keys, which does and
/// therefore depends on the sizes alone.
struct Plan {
  bool few;
  std::int64_t block_rows, blocks;
  std::int64_t range_keys, ranges;

  Plan(const Sizes& s, std::int64_t longest, std::int64_t panel, bool deterministic) {
    const auto parts = [](std::int64_t n, std::int64_t part) { return (n + part - 1) / part; };
    few = !deterministic && s.rows() < kFewRows;
    const std::int64_t caches = s.batch * s.kv_heads;
    block_rows = few ? s.rows() : kBlockRows;
    const std::int64_t tasks = caches * parts(s.rows(), block_rows);
    constexpr std::int64_t kTasks = 32, kLeast = 256, kMostOfFew = 1024;
    range_keys = std::max(kLeast, parts(longest, parts(kTasks, tasks)));
    if (few) range_keys = std::min(range_keys, kMostOfFew);
    range_keys = deterministic ? longest : parts(range_keys, kTileKeys) * kTileKeys;
    ranges = std::max<std::int64_t>(1, parts(longest, std::max<std::int64_t>(1, range_keys)));
    while (!few && block_rows > panel && tasks * ranges * (kBlockRows / block_rows) < 4 * num_threads())
      block_rows /= 2;
    blocks = parts(s.rows(), block_rows);
  }
};

/// Arrays of floats in a thread's working memory.
template <std::size_t count>
class FloatArrays {
 public:
  explicit FloatArrays(const std::int64_t (&sizes)[count]) : scratch_(total(sizes)) {
    for (std::size_t i = 0; i < count; ++i) at[i] = scratch_.template get<float>(sizes[i]);
  }
  std::array<float*, count> at;

 private:
  static std::size_t total(const std::int64_t (&sizes)[count]) {
    std::size_t bytes = 0;
    for (const std::int64_t n : sizes) bytes += cpu::Scratch::need<float>(n);
    return bytes;
  }
  cpu::Scratch scratch_;
};

std::int64_t round_up(std::int64_t n, std::int64_t part) { return (n + part - 1) / part * part; }

class Attention {
 public:
  Attention(const Sizes& sizes, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double scale,
            bool causal, CachedVector<std::int64_t> lengths, const Tensor& out)
      : s_(sizes),
        lengths_(std::move(lengths)),
        plan_(s_, *std::max_element(lengths_.begin(), lengths_.end()), attention_.panel, options().deterministic),
        q_(q),
        k_(unit_, k),
        v_(unit_, v),
        mask_(mask),
        scale_(static_cast<float>(scale)),
        causal_(causal),
        out_(out) {}

  void run() const {
    const std::int64_t caches = s_.batch * s_.kv_heads, rows = caches * s_.rows();
    const std::int64_t partials = plan_.ranges > 1 ? rows * plan_.ranges : 0;
    const FloatArrays<3> arrays({partials * s_.width, partials, partials});
    const Partials shared{arrays.at[0], arrays.at[1], arrays.at[2]};
    const std::int64_t cost = std::min(plan_.block_rows, s_.rows()) * s_.keys * (s_.depth + s_.width) / 4;
    run_all(caches * plan_.blocks * plan_.ranges, cost, [&](std::int64_t i) {
      Task t{};
      t.range = i % plan_.ranges;
      i /= plan_.ranges;
      t.first = (plan_.blocks - 1 - i % plan_.blocks) * plan_.block_rows;  // later rows may see more: they go first
      t.rows = std::min(plan_.block_rows, s_.rows() - t.first);
      t.cache = i / plan_.blocks;
      run_task(t, shared);
    });
    if (plan_.ranges > 1) {
      parallel_rows(rows, plan_.ranges * s_.width, [&](std::int64_t row) { merge(row, shared); });
    }
  }

 private:
  /// Some rows of one head of the cache, against a range of its keys.
  struct Task {
    std::int64_t cache, first, rows, range;
  };
  /// What ranges of keys have come to, by (cache, row, range): Σ exp(score − largest) · value, and what it is of.
  struct Partials {
    float *values, *largest, *total;
  };

  /// body(i) for each of `count` tasks, whoever comes first, where there is enough work for more than one thread.
  template <class Body>
  static void run_all(std::int64_t count, std::int64_t cost, Body&& body) {
    if (count * cost >= 2 * kParallelGrain) return parallel_for(count, body);
    for (std::int64_t i = 0; i < count; ++i) body(i);
  }

  std::int64_t query_of(std::int64_t row) const { return row / s_.group(); }
  std::int64_t batch_of(std::int64_t cache) const { return cache / s_.kv_heads; }
  std::int64_t kv_head_of(std::int64_t cache) const { return cache % s_.kv_heads; }
  std::int64_t head_of(std::int64_t cache, std::int64_t row) const {
    return kv_head_of(cache) * s_.group() + row % s_.group();
  }

  /// How many of the cache's keys a row sees, from the first on.
  std::int64_t limit_of(std::int64_t cache, std::int64_t row) const {
    const std::int64_t length = lengths_[static_cast<std::size_t>(batch_of(cache))];
    return causal_ ? std::clamp<std::int64_t>(length - s_.queries + query_of(row) + 1, 0, length) : length;
  }

  void run_task(const Task& t, const Partials& shared) const {
    const std::int64_t begin = t.range * plan_.range_keys;
    const std::int64_t last = limit_of(t.cache, t.first + t.rows - 1);  // of all rows of the task the most
    const std::int64_t end = std::clamp(last, begin, begin + plan_.range_keys);
    plan_.few ? run_few(t, begin, end, shared) : run_panels(t, begin, end, shared);
  }

  /// Query row `row` of a head of the cache, times the scale.
  void read_query(std::int64_t cache, std::int64_t row, float* q) const {
    const Strides& stride = q_.impl().strides;
    const std::int64_t at = batch_of(cache) * stride[0] + head_of(cache, row) * stride[1] + query_of(row) * stride[2];
    unit_.load(bytes_of(q_) + at * static_cast<std::int64_t>(itemsize(q_.dtype())), cpu::element_of(q_.dtype()),
               stride[3], s_.depth, q);
    for (std::int64_t d = 0; d < s_.depth; ++d) q[d] *= scale_;
  }

  /// What the mask adds to the scores of a row with keys [begin, begin + keys), to out[j · step].
  void read_mask(std::int64_t cache, std::int64_t row, std::int64_t begin, std::int64_t keys, float* out,
                 std::int64_t step) const {
    const Strides& stride = mask_.impl().strides;
    const std::int64_t at =
        batch_of(cache) * stride[0] + head_of(cache, row) * stride[1] + query_of(row) * stride[2] + begin * stride[3];
    if (mask_.dtype() == DType::boolean) {
      const bool* seen = data_of<bool>(mask_) + at;
      for (std::int64_t j = 0; j < keys; ++j) out[j * step] = seen[j * stride[3]] ? 0.0f : -kInfinity;
    } else {
      const float* added = data_of<float>(mask_) + at;
      for (std::int64_t j = 0; j < keys; ++j) out[j * step] = added[j * stride[3]];
    }
  }

  // ---- few rows ----

  void run_few(const Task& t, std::int64_t begin, std::int64_t end, const Partials& shared) const {
    const std::int64_t keys = end - begin, depth = round_up(s_.depth, attention_.lanes),
                       width = round_up(s_.width, attention_.lanes), pitch = round_up(keys, cpu::kFewPadding);
    const auto k_element = k_.in_vectors(attention_.lanes), v_element = v_.in_vectors(attention_.lanes);
    const bool as_it_lies = k_element && k_element == v_element;
    FloatArrays<6> arrays({t.rows * depth, t.rows * width, t.rows * pitch, mask_.defined() ? t.rows * pitch : 0,
                           as_it_lies ? 0 : keys * depth, as_it_lies ? 0 : keys * width});
    const auto [q, out, weights, bias, k_room, v_room] = arrays.at;
    std::array<std::int64_t, kFewRows> visible{};
    std::array<float, kFewRows> largest, total;
    for (std::int64_t r = 0; r < t.rows; ++r) {
      float* row = q + r * depth;
      read_query(t.cache, t.first + r, row);
      std::fill(row + s_.depth, row + depth, 0.0f);
      visible[static_cast<std::size_t>(r)] = std::clamp<std::int64_t>(limit_of(t.cache, t.first + r) - begin, 0, keys);
      if (mask_.defined()) read_mask(t.cache, t.first + r, begin, keys, bias + r * pitch, 1);
    }
    cpu::FewQueries few{};
    few.rows = t.rows;
    few.keys = keys;
    few.depth = depth;
    few.width = width;
    few.q = q;
    few.k = as_it_lies ? rows_of(k_, t, begin) : floats_of(k_, t, begin, keys, k_room, depth);
    few.v = as_it_lies ? rows_of(v_, t, begin) : floats_of(v_, t, begin, keys, v_room, width);
    few.visible = visible.data();
    few.bias = mask_.defined() ? bias : nullptr;
    few.weights = weights;
    few.pitch = pitch;
    few.out = out;
    few.largest = largest.data();
    few.total = total.data();
    attention_.few[static_cast<std::size_t>(as_it_lies ? *k_element : cpu::CacheElement::f32)](few);
    for (std::size_t r = 0; r < static_cast<std::size_t>(t.rows); ++r) {
      finish(t, static_cast<std::int64_t>(r), out + static_cast<std::int64_t>(r) * width, largest[r], total[r], shared);
    }
  }

  cpu::CacheRows rows_of(const cpu::AttentionCache& cache, const Task& t, std::int64_t begin) const {
    return cache.rows(batch_of(t.cache), kv_head_of(t.cache), begin);
  }

  /// Rows [begin, begin + count) as floats in `room`.
  cpu::CacheRows floats_of(const cpu::AttentionCache& cache, const Task& t, std::int64_t begin, std::int64_t count,
                           float* room, std::int64_t pitch) const {
    for (std::int64_t j = 0; j < count; ++j) {
      cache.read(batch_of(t.cache), kv_head_of(t.cache), begin + j, room + j * pitch, pitch);
    }
    return {reinterpret_cast<const unsigned char*>(room), pitch * static_cast<std::int64_t>(sizeof(float))};
  }

  // ---- panels ----

  /// The memory of a block of panels.
  struct Block {
    std::int64_t panels;
    float *q, *out, *largest, *total, *visible;  ///< (panels, ·, panel)
    float *k, *v;                                ///< a tile's rows, where the cache does not hold them as words
    float *weights, *bias, *line;
  };

  void run_panels(const Task& t, std::int64_t begin, std::int64_t end, const Partials& shared) const {
    const std::int64_t panel = attention_.panel, panels = (t.rows + panel - 1) / panel, lanes = panels * panel;
    const std::int64_t depth = words(s_.depth), line = std::max(2 * round_up(s_.depth, 2), 2 * s_.width);
    FloatArrays<10> arrays({lanes * depth, lanes * s_.width, lanes, lanes, panel, k_in_words_ ? 0 : kTileKeys * depth,
                            v_in_words_ ? 0 : words(kTileKeys) * s_.width, kTileKeys * panel,
                            mask_.defined() ? kTileKeys * panel : 0, line});
    const auto [q, out, largest, total, visible, k, v, weights, bias, room] = arrays.at;
    const Block block{panels, q, out, largest, total, visible, k, v, weights, bias, room};
    for (std::int64_t r = 0; r < lanes; ++r) pack_query(t, block, r);
    std::fill(out, out + lanes * s_.width, 0.0f);
    std::fill(largest, largest + lanes, -kInfinity);
    std::fill(total, total + lanes, 0.0f);
    for (std::int64_t key = begin; key < end; key += kTileKeys) {
      run_tile(t, block, key, std::min(kTileKeys, end - key));
    }
    for (std::int64_t r = 0; r < t.rows; ++r) {
      const float* column = out + (r / panel * s_.width) * panel + r % panel;
      for (std::int64_t c = 0; c < s_.width; ++c) room[c] = column[c * panel];
      finish(t, r, room, largest[r], total[r], shared);
    }
  }

  std::int64_t words(std::int64_t values) const { return (values + panel_.step - 1) / panel_.step; }

  /// Row r of the block to its lane; zeros past the last row.
  void pack_query(const Task& t, const Block& block, std::int64_t r) const {
    const std::int64_t panel = attention_.panel, depth = words(s_.depth);
    float* lane = block.q + (r / panel * depth) * panel + r % panel;
    float* row = block.line;
    if (r >= t.rows) {
      for (std::int64_t d = 0; d < depth; ++d) lane[d * panel] = 0;
      return;
    }
    read_query(t.cache, t.first + r, row);
    if (panel_.step == 2) {
      panel_.pair_neighbours(row, s_.depth, row + s_.depth);
      row += s_.depth;
    }
    for (std::int64_t d = 0; d < depth; ++d) lane[d * panel] = row[d];
  }

  void run_tile(const Task& t, const Block& block, std::int64_t key, std::int64_t keys) const {
    cpu::PanelTile tile{};
    tile.depth = words(s_.depth);
    tile.width = s_.width;
    const cpu::CacheRows k = k_in_words_ ? rows_of(k_, t, key) : key_words(t, block, key, keys);
    const cpu::CacheRows v = v_in_words_ ? rows_of(v_, t, key) : value_words(t, block, key, keys);
    tile.k = reinterpret_cast<const float*>(k.data);
    tile.k_stride = k.stride / static_cast<std::int64_t>(sizeof(float));
    tile.v = reinterpret_cast<const float*>(v.data);
    tile.v_stride = v.stride / static_cast<std::int64_t>(sizeof(float));
    tile.weights = block.weights;
    const std::int64_t panel = attention_.panel;
    for (std::int64_t p = 0; p < block.panels; ++p) {
      const std::int64_t first = p * panel, rows = std::min(panel, t.rows - first);
      tile.keys = std::clamp<std::int64_t>(limit_of(t.cache, t.first + first + rows - 1) - key, 0, keys);
      if (tile.keys == 0) continue;
      tile.q = block.q + first * tile.depth;
      tile.out = block.out + first * s_.width;
      tile.largest = block.largest + first;
      tile.total = block.total + first;
      const bool all_see_all = limit_of(t.cache, t.first + first) - key >= tile.keys;
      tile.visible = all_see_all ? nullptr : block.visible;
      for (std::int64_t r = 0; !all_see_all && r < panel; ++r) {
        block.visible[r] = static_cast<float>(limit_of(t.cache, t.first + first + std::min(r, rows - 1)) - key);
      }
      tile.bias = mask_.defined() ? block.bias : nullptr;
      for (std::int64_t r = 0; mask_.defined() && r < panel; ++r) {
        read_mask(t.cache, t.first + first + std::min(r, rows - 1), key, tile.keys, block.bias + r, panel);
      }
      panel_.attend(tile);
    }
  }

  /// A tile of keys as words.
  cpu::CacheRows key_words(const Task& t, const Block& block, std::int64_t key, std::int64_t keys) const {
    const std::int64_t depth = words(s_.depth);
    if (panel_.step == 1) return floats_of(k_, t, key, keys, block.k, depth);
    for (std::int64_t j = 0; j < keys; ++j) {
      floats_of(k_, t, key + j, 1, block.line, s_.depth);
      panel_.pair_neighbours(block.line, s_.depth, block.k + j * depth);
    }
    return {reinterpret_cast<const unsigned char*>(block.k), depth * static_cast<std::int64_t>(sizeof(float))};
  }

  /// A tile of values as words; past an odd last one come zeros.
  cpu::CacheRows value_words(const Task& t, const Block& block, std::int64_t key, std::int64_t keys) const {
    const std::int64_t width = s_.width;
    if (panel_.step == 1) return floats_of(v_, t, key, keys, block.v, width);
    float *even = block.line, *odd = block.line + width;
    for (std::int64_t j = 0; j < keys; j += 2) {
      floats_of(v_, t, key + j, 1, even, width);
      if (j + 1 < keys) floats_of(v_, t, key + j + 1, 1, odd, width);
      if (j + 1 == keys) std::fill(odd, odd + width, 0.0f);
      panel_.pair_rows(even, odd, width, block.v + j / 2 * width);
    }
    return {reinterpret_cast<const unsigned char*>(block.v), width * static_cast<std::int64_t>(sizeof(float))};
  }

  // ---- results ----

  /// Row r of a task has come to `values`, which may be changed: what the whole is, or its share of it.
  void finish(const Task& t, std::int64_t r, float* values, float largest, float total, const Partials& shared) const {
    const std::int64_t row = t.first + r;
    if (plan_.ranges == 1) return write(t.cache, row, values, total);
    const std::int64_t at = (t.cache * s_.rows() + row) * plan_.ranges + t.range;
    std::copy_n(values, s_.width, shared.values + at * s_.width);
    shared.largest[at] = largest;
    shared.total[at] = total;
  }

  /// Brings the ranges of a row to the largest score of all; the first one takes up the others.
  void merge(std::int64_t row, const Partials& shared) const {
    const std::int64_t first = row * plan_.ranges;
    const float *largest = shared.largest + first, *totals = shared.total + first;
    const float most = *std::max_element(largest, largest + plan_.ranges);
    float total = 0;
    float* sum = shared.values + first * s_.width;
    for (std::int64_t i = 0; i < plan_.ranges; ++i) {
      const float weight = largest[i] == -kInfinity ? 0.0f : std::exp(largest[i] - most);
      const float* values = shared.values + (first + i) * s_.width;
      total += weight * totals[i];
      for (std::int64_t c = 0; c < s_.width; ++c) sum[c] = (i == 0 ? 0.0f : sum[c]) + weight * values[c];
    }
    write(row / s_.rows(), row % s_.rows(), sum, total);
  }

  void write(std::int64_t cache, std::int64_t row, float* values, float total) const {
    const float scale = total == 0 ? 0.0f : 1.0f / total;
    for (std::int64_t c = 0; c < s_.width; ++c) values[c] *= scale;
    const std::int64_t place = (batch_of(cache) * s_.heads + head_of(cache, row)) * s_.queries + query_of(row);
    unit_.store(values, s_.width,
                mutable_bytes(out_) + place * s_.width * static_cast<std::int64_t>(itemsize(out_.dtype())),
                cpu::element_of(out_.dtype()), 1);
  }

  const cpu::Unit& unit_ = cpu::current_unit();
  const cpu::AttentionUnit& attention_ = *unit_.attention;
  const cpu::PanelKernel& panel_ = panel_kernel(unit_, options().precision);
  Sizes s_;
  CachedVector<std::int64_t> lengths_;  ///< keys of each batch entry
  Plan plan_;
  Tensor q_;
  cpu::AttentionCache k_, v_;
  bool k_in_words_ = k_.in_words(panel_.step), v_in_words_ = panel_.step == 1 && v_.in_words(1);
  Tensor mask_;
  float scale_;
  bool causal_;
  Tensor out_;
};

/// How many keys each batch entry has; checked.
CachedVector<std::int64_t> lengths_of(const Tensor& key_length, const Sizes& s) {
  if (!key_length.defined()) return CachedVector<std::int64_t>(static_cast<std::size_t>(s.batch), s.keys);
  const auto values = values_of<std::int32_t>(key_length);
  for (const std::int64_t n : values) {
    if (n < 0 || n > s.keys) {
      throw Error(ErrorCode::out_of_range,
                  fmt::format("[scaled_dot_product_attention] key length {} of {} keys", n, s.keys));
    }
  }
  return {values.begin(), values.end()};
}

}  // namespace

void CpuBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal,
                           const Tensor& mask, const Tensor& key_length, const Tensor& out) {
  const Sizes sizes{q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3), v.size(3)};
  if (out.numel() == 0) return;
  Attention(sizes, q, k, v, mask, scale, causal, lengths_of(key_length, sizes), out).run();
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
