#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
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

  /// x · w of each of `operands` in turn.
  void measure(const std::string& format, Orientation orientation, const std::vector<Tensor>& operands, Meter& meter,
               Json* results) const {
    const Tensor& first = operands.front();
    const bool dense = is_dense_format(format);
    const DType dtype = !dtype_.empty() ? *parse_dtype(dtype_) : dense ? first.dtype() : DType::f32;
    const Tensor outputs = transpose(orientation == Orientation::along ? first : dequantize(first, DType::f32));
    for (const Precision precision : options_.precisions()) {
      Options options = nibble::options();
      options.precision = precision;
      for (const std::int64_t rows : rows_) {
        const Tensor x = random_activations({rows, first.size(0)}, first.size(1), dtype).to(options_.device());
        Json row = {{"format", format},
                    {"n", n_},
                    {"k", k_},
                    {"orientation", kOrientations[static_cast<std::size_t>(orientation)]},
                    {"rows", rows},
                    {"precision", name_of(precision)},
                    {"isa", cpu_unit()},
                    {"threads", num_threads()},
                    {"device", to_string(options_.device())},
                    {"weight_bytes", first.nbytes()}};
        // What is recorded keeps its memory, so that none waits for another's; a finished result gives it back.
        const bool records = options_.device() != Device::cpu();
        std::vector<Tensor> kept(records ? Meter::kRecorded : 1);
        Tensor last;
        Work work{.run =
                      [&](std::int64_t turn) {
                        const auto t = static_cast<std::size_t>(turn);
                        last = kept[t % kept.size()] = matmul(x, operands[t % operands.size()], options);
                      },
                  .bytes = static_cast<double>(first.nbytes()),
                  .operations = 2.0 * static_cast<double>(rows) * static_cast<double>(n_) * static_cast<double>(k_),
                  .peak = dense ? peak_of_dense(first.dtype()) : peak_of_packed(precision, options_.device())};
        if (records) {
          work.wait = [&] { slice(reshape(last, {-1}), 0, 0, 1).to_vector<float>(); };
        }
        row.update(meter.measure(work));
        row["rel_error"] = product_error(x, outputs, matmul(x, first, options));
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
