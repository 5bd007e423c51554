#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "adapters/cli/bench/table.h"
#include "adapters/cli/bench/weights.h"
#include "nibble/error.h"
#include "nibble/ops.h"

namespace nibble::cli {
namespace {

constexpr Column kExpertsColumns[] = {{"format", "format", ""},       {"tokens", "tokens", ""},
                                      {"precision", "precision", ""}, {"time_us", "time, µs", "{:.0f}"},
                                      {"gb_per_s", "GB/s", "{:.1f}"}, {"bandwidth_share", "of reading", "{:.2f}"},
                                      {"gops", "Gop/s", "{:.0f}"},    {"peak_share", "of peak", "{:.2f}"},
                                      {"peak", "peak", ""},           {"rel_error", "error", "{:.1e}"}};

/// Which experts each token goes to, as a router would choose them: different ones.
struct Routing {
  std::vector<std::int32_t> experts;  // (tokens, used)
  Tensor indices;
  std::size_t distinct = 0;  // experts that have a token
};

Routing draw_routing(std::int64_t tokens, std::int64_t used, std::int64_t experts, std::mt19937& engine) {
  Routing routing;
  std::vector<std::int32_t> order(static_cast<std::size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::shuffle(order.begin(), order.end(), engine);
    routing.experts.insert(routing.experts.end(), order.begin(), order.begin() + used);
  }
  routing.indices = from_data(std::span<const std::int32_t>(routing.experts), {tokens, used});
  routing.distinct = std::set(routing.experts.begin(), routing.experts.end()).size();
  return routing;
}

class Experts final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.option("--format", &format_, "how the experts are stored");
    arguments.list("--tokens", &tokens_, "at once");
    arguments.option("--experts", &experts_, "that there are");
    arguments.option("--used", &used_, "by each token");
    arguments.option("--n", &n_, "outputs of an expert");
    arguments.option("--k", &k_, "what is summed over");
    options_.declare_precisions(arguments);
    options_.declare(arguments);
  }

  Json run(const Console&) override {
    options_.apply();
    require_positive("--tokens", tokens_);
    require_positive("--experts", {experts_});
    require_positive("--used", {used_});
    require_positive("--n", {n_});
    require_positive("--k", {k_});
    if (used_ > experts_) {
      throw Error(ErrorCode::invalid_argument, fmt::format("--used {}: there are {} experts", used_, experts_));
    }
    Meter meter(options_.seconds());
    const std::uint64_t all_bytes = random_weights(format_, 1, n_, k_).nbytes() * static_cast<std::uint64_t>(experts_);
    const std::int64_t copies = cold_copies(all_bytes);
    const Tensor stored = random_weights(format_, copies * experts_, n_, k_);
    std::vector<Tensor> layers;  // the experts of one layer each
    for (std::int64_t i = 0; i < copies; ++i) layers.push_back(slice(stored, 0, i * experts_, (i + 1) * experts_));
    Json results = Json::array();
    for (const Precision precision : options_.precisions()) {
      Options options = nibble::options();
      options.precision = precision;
      const with in_force(options);
      for (const std::int64_t tokens : tokens_) results.push_back(measure(layers, tokens, precision, meter));
    }
    return {{"machine", meter.machine()}, {"results", std::move(results)}};
  }

  void print(const Json& result) const override {
    print_machine(result["machine"]);
    fmt::print("{} experts ({}, {}), {} for each token, weights cold\n", experts_, n_, k_, used_);
    print_table(result["results"], kExpertsColumns);
  }

 private:
  Json measure(const std::vector<Tensor>& layers, std::int64_t tokens, Precision precision, Meter& meter) const {
    std::mt19937 engine(4);
    std::vector<Routing> routings;  // one for each layer
    double distinct = 0;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      routings.push_back(draw_routing(tokens, used_, experts_, engine));
      distinct += static_cast<double>(routings.back().distinct) / static_cast<double>(layers.size());
    }
    const Tensor x = random_normal({tokens, 1, 1, k_}, 2);
    const auto multiply = [&](std::int64_t turn) {
      const auto i = static_cast<std::size_t>(turn) % layers.size();
      return gather_matmul(x, swapaxes(layers[i], 1, 2), routings[i].indices);
    };
    const double bytes = distinct / static_cast<double>(experts_) * static_cast<double>(layers[0].nbytes());
    Json row = {{"format", format_},
                {"n", n_},
                {"k", k_},
                {"experts", experts_},
                {"used", used_},
                {"tokens", tokens},
                {"precision", name_of(precision)},
                {"isa", cpu_unit()},
                {"threads", num_threads()},
                {"weight_bytes", bytes}};
    row.update(meter.measure({.run = [&](std::int64_t turn) { multiply(turn); },
                              .bytes = bytes,
                              .operations = 2.0 * static_cast<double>(tokens * used_) * static_cast<double>(n_ * k_),
                              .peak = is_dense_format(format_) ? Arithmetic::fp32 : peak_of_packed(precision)}));
    row["rel_error"] = error_of(x, layers[0], routings[0], multiply(0));
    return row;
  }

  /// The error of the first and the last product, root mean square of the two.
  double error_of(const Tensor& x, const Tensor& experts, const Routing& routing, const Tensor& y) const {
    double squares = 0;
    for (const std::int64_t token : {std::int64_t{0}, x.size(0) - 1}) {
      const std::int64_t choice = token == 0 ? 0 : used_ - 1;
      const std::int32_t expert = routing.experts[static_cast<std::size_t>(token * used_ + choice)];
      const double error = product_error(reshape(select(x, 0, token), {1, k_}), select(experts, 0, expert),
                                         select(select(y, 0, token), 0, choice));
      squares += error * error;
    }
    return std::sqrt(squares / 2);
  }

  BenchOptions options_;
  std::string format_ = "affine4-g64";
  std::vector<std::int64_t> tokens_{1, 32, 128};
  std::int64_t experts_ = 128, used_ = 8, n_ = 768, k_ = 2048;
};

}  // namespace

std::unique_ptr<Command> make_bench_experts() { return std::make_unique<Experts>(); }

}  // namespace nibble::cli
