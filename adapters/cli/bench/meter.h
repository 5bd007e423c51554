#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "adapters/cli/command.h"
#include "nibble/limits.h"
#include "nibble/options.h"
#include "nibble/tensor.h"

namespace nibble::cli {

/// One kind of arithmetic, by the names that results carry.
struct ArithmeticName {
  Arithmetic kind;
  const char* name;  ///< "int8"
  const char* key;   ///< "int8_gops"
  bool of_cpus = true;
};
inline constexpr ArithmeticName kArithmetics[] = {{Arithmetic::fp32, "fp32", "fp32_gflops"},
                                                  {Arithmetic::bf16, "bf16", "bf16_gflops"},
                                                  {Arithmetic::int16, "int16", "int16_gops"},
                                                  {Arithmetic::int8, "int8", "int8_gops"},
                                                  {Arithmetic::f16, "f16", "f16_gflops", false}};

/// Something that is measured, and what it amounts to.
struct Work {
  std::function<void(std::int64_t turn)> run;  ///< `turn` counts the calls, so that operands can rotate
  double bytes = 0;                            ///< read from memory
  double operations = 0;
  /// Waits for what devices only record at the call; without one, that is finished at return.
  std::function<void()> wait = {};
  Arithmetic peak = Arithmetic::fp32;  ///< what its operations are compared with
};

/// Figures of rounds, by key: their medians, and their quartiles under the key with "_quartiles" behind it.
class Spreads {
 public:
  void add(const std::string& key, double value) { values_[key].push_back(value); }
  Json json() const;

 private:
  std::map<std::string, std::vector<double>> values_;
};

/// Runs work in turns with probes of what memory and the arithmetic unit give, so that shares refer to the same
/// moments. Machines that others use too change their speed from second to second.
class Meter {
 public:
  static constexpr int kRecorded = 32;  ///< runs that a device is given at most before it is waited for

  explicit Meter(double seconds, Device device = {});

  /// Medians over rounds of at least `seconds` together, with quartiles: time_us, gb_per_s, bandwidth_share, gops,
  /// peak, peak_share. A share that no machine can give tells of probes that others disturbed: then all is measured
  /// again, at most twice.
  Json measure(const Work& work) { return measure_in_turns({work}).front(); }
  /// Likewise of several, all compared with the same arithmetic, each in every round: so their times may be compared
  /// with each other although the machine changes its speed.
  std::vector<Json> measure_in_turns(const std::vector<Work>& works);

  /// The rate at which memory is read, now. Throws what measure_reading throws.
  double bandwidth();
  /// The rate of the arithmetic unit, now; of fp32 where the unit lacks that kind.
  double peak(Arithmetic kind);
  /// What was measured on, with the medians of all probes so far.
  Json machine() const;

 private:
  std::vector<Json> measure_once(const std::vector<Work>& works);

  double seconds_;
  Device device_;
  Tensor buffer_;  // past every cache
  std::vector<double> bandwidths_;
  std::vector<double> peaks_[std::size(kArithmetics)];
};

Json describe_machine(Device device = {});

/// `kind`, or fp32 where the unit in use, or the device, has no instruction for it.
Arithmetic available(Arithmetic kind, Device device = {});

/// Bytes that no cache holds for long: operands that together take so much are cold when their turn comes again.
std::uint64_t cold_bytes();

double median(std::vector<double> values);

/// The kind of arithmetic that a product of this precision with packed weights is bound by; at `standard` that is
/// products of 16 bits where the unit has no dot product of 8.
Arithmetic peak_of_packed(Precision precision, Device device = {});
const char* name_of(Precision precision);
const char* name_of(Arithmetic kind);

}  // namespace nibble::cli
