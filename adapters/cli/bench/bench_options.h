#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "adapters/cli/arguments.h"
#include "nibble/options.h"

namespace nibble::cli {

/// The options of every benchmark.
class BenchOptions {
 public:
  void declare(Arguments& arguments);
  /// --device, for benchmarks that run on any.
  void declare_device(Arguments& arguments);
  Device device() const;
  /// --precision, for benchmarks of what has one.
  void declare_precisions(Arguments& arguments);
  /// Puts them in force; before the first operation, for the instruction set is chosen there. Throws
  /// Error(invalid_argument).
  void apply() const;

  /// How long one figure may take, its probes included.
  double seconds() const { return seconds_; }
  std::vector<Precision> precisions() const;

 private:
  std::string isa_, device_ = "cpu";
  std::optional<std::int64_t> threads_;
  double seconds_ = 0.3;
  std::vector<std::string> precisions_{"standard"};
};

/// Refuses what is below 1, in the option's name.
void require_positive(const char* name, const std::vector<std::int64_t>& values);

/// Refuses what no machine of this memory can hold, before a system that promises more than it has is asked for it.
/// Throws Error(out_of_memory), naming what wants so much.
void require_memory(const std::string& what, double bytes);

}  // namespace nibble::cli
