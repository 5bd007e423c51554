#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "adapters/cli/bench/table.h"
#include "adapters/cli/bench/weights.h"
#include "adapters/cli/options.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

constexpr Column kColumns[] = {{"format", "format", ""},
                               {"dtype", "from", ""},
                               {"time_us", "time, µs", "{:.0f}"},
                               {"mweights_per_s", "million weights/s", "{:.0f}"},
                               {"gb_per_s", "GB/s read", "{:.1f}"},
                               {"bandwidth_share", "of reading", "{:.2f}"}};

class Quantize final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.list("--format", &formats_, "to quantize to");
    arguments.list("--dtype", &dtypes_, "of the weights");
    arguments.option("--n", &n_, "rows");
    arguments.option("--k", &k_, "weights of a row");
    options_.declare(arguments);
  }

  Json run(const Console&) override {
    options_.apply();
    require_positive("--n", {n_});
    require_positive("--k", {k_});
    Meter meter(options_.seconds());
    Json results = Json::array();
    for (const std::string& dtype : dtypes_) {
      const DType stored = parse_float_dtype("--dtype", dtype);
      const double values = static_cast<double>(n_) * static_cast<double>(k_);
      const double bytes = values * static_cast<double>(itemsize(stored));
      require_memory(fmt::format("weights ({}, {})", n_, k_), 2 * bytes);
      const std::int64_t copies = cold_copies(static_cast<std::uint64_t>(bytes));
      std::vector<Tensor> weights;
      for (std::int64_t i = 0; i < copies; ++i) {
        weights.push_back(random_normal({n_, k_}, static_cast<std::uint64_t>(i), 0, 1, stored));
      }
      for (const std::string& format : formats_) {
        Json row = {{"format", format}, {"dtype", dtype},    {"n", n_},
                    {"k", k_},          {"isa", cpu_unit()}, {"threads", num_threads()}};
        const auto quantize_one = [&](std::int64_t turn) {
          quantize(weights[static_cast<std::size_t>(turn % copies)], {.format = format});
        };
        row.update(meter.measure({.run = quantize_one, .bytes = bytes}));
        for (const char* key : {"gops", "peak", "peak_share", "peak_share_quartiles"}) row.erase(key);
        row["mweights_per_s"] = values / row["time_us"].get<double>();
        results.push_back(std::move(row));
      }
    }
    return {{"machine", meter.machine()}, {"results", std::move(results)}};
  }

  void print(const Json& result) const override {
    print_machine(result["machine"]);
    fmt::print("w ({}, {}), cold\n", n_, k_);
    print_table(result["results"], kColumns);
  }

 private:
  BenchOptions options_;
  std::vector<std::string> formats_{"affine4-g64"}, dtypes_{"f32", "bf16"};
  std::int64_t n_ = 4096, k_ = 4096;
};

}  // namespace

std::unique_ptr<Command> make_bench_quantize() { return std::make_unique<Quantize>(); }

}  // namespace nibble::cli
