#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "adapters/cli/bench/table.h"
#include "adapters/cli/bench/weights.h"
#include "adapters/cli/options.h"
#include "adapters/cli/progress.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

constexpr Column kMatmulColumns[] = {{"format", "format", ""},
                                     {"orientation", "orientation", ""},
                                     {"rows", "rows", ""},
                                     {"precision", "precision", ""},
                                     {"time_us", "time, µs", "{:.0f}"},
                                     {"gb_per_s", "GB/s", "{:.1f}"},
                                     {"bandwidth_share", "of reading", "{:.2f}"},
                                     {"gops", "Gop/s", "{:.0f}"},
                                     {"peak_share", "of peak", "{:.2f}"},
                                     {"peak", "peak", ""},
                                     {"rel_error", "error", "{:.1e}"}};

/// Which axis of w (n, k), whose rows are packed along k, a product sums over.
enum class Orientation : std::uint8_t { along, across };
constexpr const char* kOrientations[] = {"along", "across"};

Orientation parse_orientation(const std::string& text) {
  for (const Orientation orientation : {Orientation::along, Orientation::across}) {
    if (text == kOrientations[static_cast<std::size_t>(orientation)]) return orientation;
  }
  refuse(fmt::format("--orientation {}: along or across", text));
}

/// x times one of the operands, whose turns rotate.
class Product {
 public:
  /// What is recorded keeps its memory, so that none waits for another's; a finished result gives it back.
  Product(Tensor x, const std::vector<Tensor>& operands, Options options)
      : x_(std::move(x)), operands_(operands), options_(options), kept_(recorded() ? Meter::kRecorded : 1) {}

  const Tensor& x() const { return x_; }

  Work work() {
    Work work{.run = [this](std::int64_t turn) { multiply(static_cast<std::size_t>(turn)); },
              .bytes = static_cast<double>(operands_.front().nbytes())};
    if (recorded()) work.wait = [this] { slice(reshape(last_, {-1}), 0, 0, 1).to_vector<float>(); };
    return work;
  }

 private:
  bool recorded() const { return x_.device() != Device::cpu(); }
  void multiply(std::size_t turn) {
    last_ = kept_[turn % kept_.size()] = matmul(x_, operands_[turn % operands_.size()], options_);
  }

  Tensor x_;
  const std::vector<Tensor>& operands_;
  Options options_;
  std::vector<Tensor> kept_;
  Tensor last_;
};

class Matmul final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.list("--format", &formats_,
                   "how weights are stored: affine4-g64, q4_0, bf16, ..., or all; with commas between");
    arguments.list("--rows", &rows_, "of the activations");
    arguments.option("--n", &n_, "rows of the weights");
    arguments.option("--k", &k_, "weights of a row, which are packed along it");
    arguments.list("--orientation", &orientations_,
                   "along the packed axis, x (rows, k) · wᵀ, or across it, x (rows, n) · w; both with a comma between");
    arguments.option("--dtype", &dtype_, "of activations (default: f32 with packed weights, else theirs)");
    options_.declare_precisions(arguments);
    options_.declare_device(arguments);
    options_.declare(arguments);
  }

  Json run(const Console&) override {
    options_.apply();
    require_positive("--rows", rows_);
    require_positive("--n", {n_});
    require_positive("--k", {k_});
    if (!dtype_.empty()) parse_float_dtype("--dtype", dtype_);
    const bool all = std::find(formats_.begin(), formats_.end(), "all") != formats_.end();
    const std::vector<std::string> formats = all ? weight_formats() : formats_;
    for (const std::string& format : formats) require_known_format(format, ", all");
    for (const std::string& orientation : orientations_) parse_orientation(orientation);

    Meter meter(options_.seconds(), options_.device());
    Json results = Json::array(), skipped = Json::array();
    Progress progress("bench", static_cast<std::int64_t>(formats.size()));
    std::int64_t done = 0;
    for (const std::string& format : formats) {
      try {
        measure(format, meter, &results);
      } catch (const Error& e) {
        const bool unfit = e.code() == ErrorCode::shape_mismatch || e.code() == ErrorCode::unsupported;
        if (!all || !unfit) throw;  // of all, those without an encoder or for other sizes are left out
        skipped.push_back({{"format", format}, {"reason", e.what()}});
      }
      progress.update(++done);
    }
    progress.clear();
    return {{"machine", meter.machine()}, {"results", std::move(results)}, {"skipped", std::move(skipped)}};
  }

  void print(const Json& result) const override {
    print_machine(result["machine"]);
    fmt::print("w ({}, {}), cold\n", n_, k_);
    print_table(result["results"], kMatmulColumns);
    for (const Json& row : result["skipped"]) {
      fmt::print("{}: left out: {}\n", row["format"].get<std::string>(), row["reason"].get<std::string>());
    }
  }

 private:
  void measure(const std::string& format, Meter& meter, Json* results) const {
    const std::int64_t copies = cold_copies(random_weights(format, 1, n_, k_).nbytes());
    const Tensor weights = random_weights(format, copies, n_, k_).to(options_.device());
    for (const std::string& text : orientations_) {
      const Orientation orientation = parse_orientation(text);
      std::vector<Tensor> operands;  // one view for each copy
      for (std::int64_t i = 0; i < copies; ++i) {
        const Tensor w = select(weights, 0, i);
        operands.push_back(orientation == Orientation::along ? transpose(w) : w);
      }
      measure(format, orientation, operands, meter, results);
    }
  }

  /// x · w of each of `operands` in turn; all numbers of rows in each round, since their times are compared.
  void measure(const std::string& format, Orientation orientation, const std::vector<Tensor>& operands, Meter& meter,
               Json* results) const {
    const Tensor& first = operands.front();
    const bool dense = is_dense_format(format);
    const DType dtype = !dtype_.empty() ? *parse_dtype(dtype_) : dense ? first.dtype() : DType::f32;
    const Tensor outputs = transpose(orientation == Orientation::along ? first : dequantize(first, DType::f32));
    for (const Precision precision : options_.precisions()) {
      Options options = nibble::options();
      options.precision = precision;
      std::deque<Product> products;
      std::vector<Work> works;
      for (const std::int64_t rows : rows_) {
        const Tensor x = random_activations({rows, first.size(0)}, first.size(1), dtype).to(options_.device());
        works.push_back(products.emplace_back(x, operands, options).work());
        works.back().operations = 2.0 * static_cast<double>(rows) * static_cast<double>(n_) * static_cast<double>(k_);
        works.back().peak = dense ? peak_of_dense(first.dtype()) : peak_of_packed(precision, options_.device());
      }
      const std::vector<Json> figures = meter.measure_in_turns(works);
      for (std::size_t i = 0; i < products.size(); ++i) {
        Json row = {{"format", format},
                    {"n", n_},
                    {"k", k_},
                    {"orientation", kOrientations[static_cast<std::size_t>(orientation)]},
                    {"rows", rows_[i]},
                    {"precision", name_of(precision)},
                    {"isa", cpu_unit()},
                    {"threads", num_threads()},
                    {"device", to_string(options_.device())},
                    {"weight_bytes", first.nbytes()}};
        row.update(figures[i]);
        row["rel_error"] = product_error(products[i].x(), outputs, matmul(products[i].x(), first, options));
        results->push_back(std::move(row));
      }
    }
  }

  static Arithmetic peak_of_dense(DType dtype) { return dtype == DType::bf16 ? Arithmetic::bf16 : Arithmetic::fp32; }

  BenchOptions options_;
  std::vector<std::string> formats_{"affine4-g64"}, orientations_{"along"};
  std::vector<std::int64_t> rows_{1, 2, 4, 8, 32, 128, 512};
  std::int64_t n_ = 4096, k_ = 4096;
  std::string dtype_;
};

}  // namespace

std::unique_ptr<Command> make_bench_matmul() { return std::make_unique<Matmul>(); }

}  // namespace nibble::cli
