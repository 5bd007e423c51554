#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "adapters/cli/bench/table.h"
#include "adapters/cli/bench/weights.h"
#include "adapters/cli/options.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

constexpr Column kAttentionColumns[] = {{"kv_dtype", "cache", ""},      {"queries", "queries", ""},
                                        {"precision", "precision", ""}, {"time_us", "time, µs", "{:.0f}"},
                                        {"gb_per_s", "GB/s", "{:.1f}"}, {"bandwidth_share", "of reading", "{:.2f}"},
                                        {"gops", "Gop/s", "{:.0f}"},    {"peak_share", "of peak", "{:.2f}"},
                                        {"peak", "peak", ""},           {"rel_error", "error", "{:.1e}"}};

/// Row i of a matrix (n, d) in fp64.
class Matrix {
 public:
  explicit Matrix(const Tensor& t) : depth_(t.size(1)), values_(dequantize(t, DType::f32).to_vector<float>()) {}
  double operator()(std::int64_t row, std::int64_t column) const {
    return values_[static_cast<std::size_t>(row * depth_ + column)];
  }

 private:
  std::int64_t depth_;
  std::vector<float> values_;
};

class AttentionBench final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.list("--queries", &queries_, "positions that ask, without a causal mask");
    arguments.option("--keys", &keys_, "positions in the cache");
    arguments.option("--heads", &heads_, "of queries");
    arguments.option("--kv-heads", &kv_heads_, "of keys and values");
    arguments.option("--head-dim", &depth_, "of a query, key or value");
    arguments.list("--kv-dtype", &kv_dtypes_,
                   "how the cache is stored: f16, bf16, f32 or a packed format; with commas between");
    options_.declare_precisions(arguments);
    options_.declare(arguments);
  }

  Json run(const Console&) override {
    options_.apply();
    require_positive("--queries", queries_);
    require_positive("--keys", {keys_});
    require_positive("--heads", {heads_});
    require_positive("--kv-heads", {kv_heads_});
    require_positive("--head-dim", {depth_});
    if (heads_ % kv_heads_ != 0) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("--heads {}: must be a multiple of --kv-heads {}", heads_, kv_heads_));
    }
    for (const std::string& dtype : kv_dtypes_) check_kv_storage(dtype);
    Meter meter(options_.seconds());
    Json results = Json::array();
    for (const std::string& dtype : kv_dtypes_) measure(dtype, meter, &results);
    return {{"machine", meter.machine()}, {"results", std::move(results)}};
  }

  void print(const Json& result) const override {
    print_machine(result["machine"]);
    fmt::print("{} keys, {} heads on {}, head {}, cache cold\n", keys_, heads_, kv_heads_, depth_);
    print_table(result["results"], kAttentionColumns);
  }

 private:
  /// `copies` caches of keys or values: (copies, kv_heads, keys, depth).
  Tensor caches(const std::string& dtype, std::int64_t copies, std::uint64_t seed) const {
    return reshape(random_weights(dtype, copies * kv_heads_, keys_, depth_, {.deviation = 1, .seed = seed}),
                   {copies, kv_heads_, keys_, depth_});
  }

  void measure(const std::string& dtype, Meter& meter, Json* results) const {
    const std::uint64_t cache_bytes = 2 * caches(dtype, 1, 1).nbytes();
    const std::int64_t copies = cold_copies(cache_bytes);
    const Tensor all_keys = caches(dtype, copies, 1), all_values = caches(dtype, copies, 2);
    std::vector<Tensor> keys, values;
    for (std::int64_t i = 0; i < copies; ++i) {
      keys.push_back(slice(all_keys, 0, i, i + 1));
      values.push_back(slice(all_values, 0, i, i + 1));
    }
    for (const Precision precision : options_.precisions()) {
      Options options = nibble::options();
      options.precision = precision;
      const with in_force(options);
      for (const std::int64_t queries : queries_) {
        const Tensor q = random_activations({1, heads_, queries, depth_}, depth_);
        const auto attend = [&](std::int64_t turn) {
          const auto i = static_cast<std::size_t>(turn % copies);
          return scaled_dot_product_attention(q, keys[i], values[i]);
        };
        Json row = {{"kv_dtype", dtype},
                    {"keys", keys_},
                    {"heads", heads_},
                    {"kv_heads", kv_heads_},
                    {"head_dim", depth_},
                    {"queries", queries},
                    {"precision", name_of(precision)},
                    {"isa", cpu_unit()},
                    {"threads", num_threads()},
                    {"cache_bytes", cache_bytes}};
        row.update(meter.measure(
            {.run = [&](std::int64_t turn) { attend(turn); },
             .bytes = static_cast<double>(cache_bytes),
             .operations = 4.0 * static_cast<double>(heads_ * queries) * static_cast<double>(keys_ * depth_),
             .peak = precision == Precision::fast ? Arithmetic::bf16 : Arithmetic::fp32}));
        row["rel_error"] = error_of(q, keys[0], values[0], attend(0));
        results->push_back(std::move(row));
      }
    }
  }

  /// ‖y − y*‖/‖y*‖ over the first and the last head and query, y* in fp64.
  double error_of(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y) const {
    double wrong = 0, all = 0;
    const auto head_of = [](const Tensor& t, std::int64_t head) { return Matrix(select(select(t, 0, 0), 0, head)); };
    for (const std::int64_t head : {std::int64_t{0}, heads_ - 1}) {
      const std::int64_t kv_head = head / (heads_ / kv_heads_);
      const Matrix queries = head_of(q, head), results = head_of(y, head);
      const Matrix keys = head_of(k, kv_head), values = head_of(v, kv_head);
      for (const std::int64_t query : {std::int64_t{0}, q.size(2) - 1}) {
        const std::vector<double> wanted = attended(queries, query, keys, values);
        for (std::int64_t d = 0; d < depth_; ++d) {
          const double want = wanted[static_cast<std::size_t>(d)], difference = results(query, d) - want;
          wrong += difference * difference;
          all += want * want;
        }
      }
    }
    return all > 0 ? std::sqrt(wrong / all) : 0;
  }

  std::vector<double> attended(const Matrix& q, std::int64_t query, const Matrix& k, const Matrix& v) const {
    std::vector<double> sum(static_cast<std::size_t>(depth_), 0.0);
    double total = 0;
    for (std::int64_t key = 0; key < keys_; ++key) {
      double score = 0;
      for (std::int64_t d = 0; d < depth_; ++d) score += q(query, d) * k(key, d);
      const double weight = std::exp(score / std::sqrt(static_cast<double>(depth_)));
      total += weight;
      for (std::int64_t d = 0; d < depth_; ++d) sum[static_cast<std::size_t>(d)] += weight * v(key, d);
    }
    for (double& x : sum) x /= total;
    return sum;
  }

  BenchOptions options_;
  std::vector<std::int64_t> queries_{1, 512};
  std::int64_t keys_ = 4096, heads_ = 32, kv_heads_ = 8, depth_ = 128;
  std::vector<std::string> kv_dtypes_{"f16"};
};

}  // namespace

std::unique_ptr<Command> make_bench_attention() { return std::make_unique<AttentionBench>(); }

}  // namespace nibble::cli
