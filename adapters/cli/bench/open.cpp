#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "adapters/cli/options.h"
#include "adapters/files/checkpoint.h"
#include "adapters/files/mapped_file.h"
#include "adapters/llm/loader.h"

namespace nibble::cli {
namespace {

using Clock = std::chrono::steady_clock;
using WeightFiles = std::vector<std::filesystem::path>;

double time_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// How long it takes to map the files anew and to read every byte of them once, on all threads.
double time_reading(const WeightFiles& files) {
  const auto begin = Clock::now();
  for (const std::filesystem::path& path : files) {
    const auto file = files::MappedFile::open(path);
    measure_reading(from_borrowed(file, file->data(), {static_cast<std::int64_t>(file->size())}, DType::u8));
  }
  return time_since(begin);
}

/// How long it takes from nothing to the logits after a first token.
double time_first_token(const std::string& path) {
  const auto begin = Clock::now();
  const llm::DecoderModel model = llm::load_decoder(files::Checkpoint::open(path));
  model.logits_of(tensor<std::int32_t>({1}, {1, 1}));
  return time_since(begin);
}

/// A file in the page cache: what opening it costs beside the least that any reader pays.
class Open final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.required("MODEL", &path_, "a Hugging Face or mlx-lm folder, or a .gguf file");
    options_.declare_precisions(arguments);
    options_.declare(arguments);
  }

  Json run(const Console&) override {
    options_.apply();
    const WeightFiles files = files::Checkpoint::open(path_).weight_files();
    std::uint64_t bytes = 0;
    for (const std::filesystem::path& file : files) bytes += std::filesystem::file_size(file);
    time_reading(files);  // from here on the pages are cached
    Json results = Json::array();
    for (const Precision precision : options_.precisions()) {
      Options options = nibble::options();
      options.precision = precision;
      const with in_force(options);
      Json row = {{"model", path_},
                  {"file_bytes", bytes},
                  {"precision", name_of(precision)},
                  {"isa", cpu_unit()},
                  {"threads", num_threads()}};
      row.update(measure(files));
      results.push_back(std::move(row));
    }
    return {{"machine", describe_machine()}, {"results", std::move(results)}};
  }

  void print(const Json& result) const override {
    for (const Json& row : result["results"]) {
      fmt::print("{}: {:.2f} GB read in {:.3f} s, first token after {:.3f} s: {:.2f} times as long\n",
                 row["precision"].get<std::string>(), row["file_bytes"].get<double>() * 1e-9,
                 row["read_seconds"].get<double>(), row["first_token_seconds"].get<double>(),
                 row["ratio"].get<double>());
    }
  }

 private:
  Json measure(const WeightFiles& files) const {
    constexpr int kLeastRounds = 3;
    Spreads spreads;
    const auto begin = Clock::now();
    for (int round = 0; round < kLeastRounds || time_since(begin) < options_.seconds(); ++round) {
      const double read = time_reading(files), opened = time_first_token(path_);
      spreads.add("read_seconds", read);
      spreads.add("first_token_seconds", opened);
      spreads.add("ratio", opened / read);
    }
    return spreads.json();
  }

  std::string path_;
  BenchOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_bench_open() { return std::make_unique<Open>(); }

}  // namespace nibble::cli
