#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
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

/// Which experts each token goes to.
struct Routing {
  std::vector<std::int32_t> experts;  // (tokens, used)
  Tensor indices;
  std::int64_t distinct = 0;  // experts that have a token
};

/// Draws routings for layers in turn, as a router would: different experts for a token, some with more tokens than
/// others. Which those are goes round a layer, so that all of its experts have had their turn before one comes again:
/// with one token, a few of them would else stay in the cache.
class Router {
 public:
  Router(std::int64_t layers, std::int64_t experts, std::int64_t used)
      : used_(used), order_(static_cast<std::size_t>(experts)), next_(static_cast<std::size_t>(layers)) {
    std::iota(order_.begin(), order_.end(), 0);
    std::shuffle(order_.begin(), order_.end(), engine_);
  }

  Routing draw(std::int64_t tokens, std::size_t layer) {
    Routing routing;
    std::vector<std::int32_t> drawn = order_;
    std::map<std::int32_t, std::int32_t> seats;  // of what was drawn: which expert stands for it
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::shuffle(drawn.begin(), drawn.end(), engine_);
      for (std::int64_t i = 0; i < used_; ++i) {
        const auto [seat, fresh] = seats.try_emplace(drawn[static_cast<std::size_t>(i)]);
        if (fresh) seat->second = order_[next_[layer]++ % order_.size()];
        routing.experts.push_back(seat->second);
      }
    }
    routing.indices = from_data(std::span<const std::int32_t>(routing.experts), {tokens, used_});
    routing.distinct = static_cast<std::int64_t>(seats.size());
    return routing;
  }

 private:
  std::int64_t used_;
  std::mt19937 engine_{4};
  std::vector<std::int32_t> order_;
  std::vector<std::size_t> next_;  // for each layer, where in the order its next expert stands
};

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
    require_known_format(format_);
    const std::int64_t copies = cold_copies(random_weights(format_, experts_, n_, k_).nbytes());
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
    const Tensor x = random_activations({tokens, 1, 1, k_}, used_ * (n_ + 1));
    const std::vector<Routing> routings = draw_routings(layers, tokens);
    const auto multiply = [&](std::int64_t turn) {
      const auto i = static_cast<std::size_t>(turn) % routings.size();
      return gather_matmul(x, swapaxes(layers[i % layers.size()], 1, 2), routings[i].indices);
    };
    double bytes = 0;
    for (const Routing& routing : routings) bytes += bytes_of(routing, layers) / static_cast<double>(routings.size());
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

  /// For the layers in turn, until so much is read that nothing of it is in a cache when it begins again.
  std::vector<Routing> draw_routings(const std::vector<Tensor>& layers, std::int64_t tokens) const {
    Router router(static_cast<std::int64_t>(layers.size()), experts_, used_);
    std::vector<Routing> routings{router.draw(tokens, 0)};
    const auto bytes = static_cast<std::uint64_t>(bytes_of(routings[0], layers));
    const auto turns = std::max(static_cast<std::size_t>(cold_copies(bytes)), layers.size());
    while (routings.size() < turns || routings.size() % layers.size() != 0) {
      routings.push_back(router.draw(tokens, routings.size() % layers.size()));
    }
    return routings;
  }

  /// Of the experts that it chooses.
  double bytes_of(const Routing& routing, const std::vector<Tensor>& layers) const {
    return static_cast<double>(layers[0].nbytes()) * static_cast<double>(routing.distinct) /
           static_cast<double>(experts_);
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
