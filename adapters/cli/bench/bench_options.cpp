#include "adapters/cli/bench/bench_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "adapters/cli/options.h"
#include "nibble/device.h"
#include "nibble/error.h"

namespace nibble::cli {
namespace {

[[noreturn]] void refuse(const std::string& text) { throw Error(ErrorCode::invalid_argument, text); }

}  // namespace

void BenchOptions::declare(CLI::App& app) {
  app.add_option("--threads", threads_, "on the CPU (default: the cores that the process may use)");
  app.add_option("--isa", isa_, "the instruction set to run (default: the best one)");
  app.add_option("--seconds", seconds_, "how long one figure may take")->capture_default_str();
}

void BenchOptions::declare_precisions(CLI::App& app) {
  app.add_option("--precision", precisions_, "exact, standard or fast; several with commas between")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
}

void BenchOptions::apply() const {
  precisions();
  if (threads_ < 0) refuse(fmt::format("--threads {}: at least 1", threads_));
  if (threads_ > 0) set_num_threads(threads_);
  if (!(seconds_ >= 0)) refuse(fmt::format("--seconds {}: at least 0", seconds_));
  if (isa_.empty()) return;
  const std::vector<std::string> units = cpu_units();
  if (std::find(units.begin(), units.end(), isa_) == units.end()) {
    refuse(fmt::format("--isa {}: this machine runs {}", isa_, fmt::join(units, ", ")));
  }
  setenv("NIBBLE_ISA", isa_.c_str(), 1);
}

std::vector<Precision> BenchOptions::precisions() const {
  std::vector<Precision> parsed;
  for (const std::string& text : precisions_) parsed.push_back(parse_precision(text));
  return parsed;
}

void add_list(CLI::App& app, const char* name, std::vector<std::int64_t>& values, const char* description) {
  app.add_option(name, values, description)->delimiter(',')->allow_extra_args(false)->capture_default_str();
}

void require_positive(const char* name, const std::vector<std::int64_t>& values) {
  for (const std::int64_t value : values) {
    if (value < 1) refuse(fmt::format("{} {}: at least 1", name, value));
  }
}

}  // namespace nibble::cli
