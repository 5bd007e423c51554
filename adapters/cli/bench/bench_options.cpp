#include "adapters/cli/bench/bench_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "adapters/cli/device_choice.h"
#include "adapters/cli/options.h"
#include "nibble/device.h"
#include "nibble/error.h"

namespace nibble::cli {

void BenchOptions::declare(Arguments& arguments) {
  arguments.option("--threads", &threads_, "on the CPU (default: the cores that the process may use)");
  arguments.option("--isa", &isa_, "the instruction set to run (default: the best one)");
  arguments.option("--seconds", &seconds_, "how long one figure may take");
}

void BenchOptions::declare_device(Arguments& arguments) {
  arguments.option("--device", &device_, "where to compute: cpu, vulkan:0, ... (nibble devices lists them)");
}

Device BenchOptions::device() const { return find_device("--device", device_); }

void BenchOptions::declare_precisions(Arguments& arguments) {
  arguments.list("--precision", &precisions_, "exact, standard or fast; several with commas between");
}

void BenchOptions::apply() const {
  precisions();
  apply_threads(threads_);
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

void require_positive(const char* name, const std::vector<std::int64_t>& values) {
  for (const std::int64_t value : values) {
    if (value < 1) refuse(fmt::format("{} {}: at least 1", name, value));
  }
}

void require_memory(const std::string& what, double bytes) {
  const auto held = static_cast<double>(devices().front().memory_bytes);
  if (held > 0 && bytes > held) {
    throw Error(ErrorCode::out_of_memory,
                fmt::format("{} would take {:.4g} GB; this machine has {:.4g}", what, bytes * 1e-9, held * 1e-9));
  }
}

}  // namespace nibble::cli
