#include "adapters/cli/bench/meter.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "nibble/device.h"
#include "nibble/ops.h"

namespace nibble::cli {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr double kRoundSeconds = 0.01;  // of work between two probes, if one run is not longer
constexpr int kLeastRounds = 3, kMostRunsARound = 64;
constexpr int kRepeats = 2;
constexpr double kMostShare = 1.02;  // of what there is; more is an error of the probes

bool is_possible(const Json& figures) {
  return figures["bandwidth_share"] <= kMostShare && figures["peak_share"] <= kMostShare;
}

/// The value below which `share` of them lie.
double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const std::ptrdiff_t at = std::lround(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}
}  // namespace

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

std::uint64_t cold_bytes() {
  constexpr std::uint64_t kLeast = std::uint64_t{64} << 20;
  return std::max(kLeast, 8 * cache_bytes());
}

Json Spreads::json() const {
  Json figures = Json::object();
  for (const auto& [key, values] : values_) {
    figures[key] = median(values);
    figures[key + "_quartiles"] = {quantile(values, 0.25), quantile(values, 0.75)};
  }
  return figures;
}

Meter::Meter(double seconds, Device device)
    : seconds_(seconds),
      device_(device),
      buffer_(full({static_cast<std::int64_t>(cold_bytes())}, 1, DType::u8).to(device)) {}

double Meter::bandwidth() {
  bandwidths_.push_back(fastest(measure_reading(buffer_)));
  return bandwidths_.back();
}

double Meter::peak(Arithmetic kind) {
  kind = available(kind, device_);
  std::vector<double>& seen = peaks_[static_cast<std::size_t>(kind)];
  double rate = 0;  // the best of a few bursts: what else a machine does only ever takes away
  for (int burst = 0; burst < 3; ++burst) rate = std::max(rate, fastest(measure_arithmetic(kind, device_)));
  seen.push_back(rate);
  return rate;
}

Arithmetic available(Arithmetic kind, Device device) {
  static std::map<std::string, std::array<Arithmetic, std::size(kArithmetics)>> found;
  const auto [known, added] = found.try_emplace(to_string(device));
  for (const ArithmeticName& row : kArithmetics) {
    if (!added) break;
    const bool here = !measure_arithmetic(row.kind, device).empty();
    known->second[static_cast<std::size_t>(row.kind)] = here ? row.kind : Arithmetic::fp32;
  }
  return known->second[static_cast<std::size_t>(kind)];
}

namespace {

/// A work and how often it runs between two probes.
class Paced {
 public:
  explicit Paced(const Work& work) : work_(work) {
    timed();  // what is made at the first call
    const int fit = std::clamp(static_cast<int>(kRoundSeconds / timed()), 1, kMostRunsARound);
    if (work.wait) at_once_ = std::min(fit, Meter::kRecorded);
    runs_ = fit / at_once_;
  }

  /// The median of seconds that a run took.
  double run() {
    std::vector<double> times;
    for (int i = 0; i < runs_; ++i) times.push_back(timed());
    for (const double time : times) spreads_.add("time_us", time * 1e6);
    return median(std::move(times));
  }

  void compare(double taken, double bandwidth, double peak) {
    spreads_.add("bandwidth_share", work_.bytes / taken / bandwidth);
    spreads_.add("peak_share", work_.operations / taken / peak);
  }

  Json figures() const {
    Json figures = spreads_.json();
    const double taken_us = figures["time_us"].get<double>();
    figures["gb_per_s"] = work_.bytes / taken_us * 1e-3;
    figures["gops"] = work_.operations / taken_us * 1e-3;
    return figures;
  }

 private:
  double timed() {
    const auto begin = Clock::now();
    for (int i = 0; i < at_once_; ++i) work_.run(turn_++);
    if (work_.wait) work_.wait();
    return seconds_since(begin) / at_once_;
  }

  const Work& work_;
  Spreads spreads_;
  std::int64_t turn_ = 0;
  int at_once_ = 1;  // what a device runs is timed many at once: one alone would show what waiting takes
  int runs_ = 1;
};

}  // namespace

std::vector<Json> Meter::measure_in_turns(const std::vector<Work>& works) {
  std::vector<Json> figures = measure_once(works);
  for (int i = 0; i < kRepeats && !std::all_of(figures.begin(), figures.end(), is_possible); ++i) {
    figures = measure_once(works);
  }
  return figures;
}

std::vector<Json> Meter::measure_once(const std::vector<Work>& works) {
  std::vector<Paced> all(works.begin(), works.end());
  const Arithmetic kind = works.front().peak;
  const double seconds = seconds_ * static_cast<double>(works.size());
  const auto begin = Clock::now();
  double bandwidth_before = bandwidth(), peak_before = peak(kind);
  for (int round = 0; round < kLeastRounds || seconds_since(begin) < seconds; ++round) {
    for (Paced& work : all) {
      const double taken = work.run(), bandwidth_after = bandwidth(), peak_after = peak(kind);
      work.compare(taken, 0.5 * (bandwidth_before + bandwidth_after), 0.5 * (peak_before + peak_after));
      bandwidth_before = bandwidth_after;
      peak_before = peak_after;
    }
  }
  std::vector<Json> figures;
  for (const Paced& work : all) {
    figures.push_back(work.figures());
    figures.back()["peak"] = name_of(available(kind, device_));
  }
  return figures;
}

Json describe_machine(Device device) {
  const std::vector<DeviceInfo> all = devices();
  const DeviceInfo& cpu = all.front();
  Json machine = {{"cpu", cpu.name},          {"instruction_sets", cpu_units()},  {"isa", cpu_unit()},
                  {"threads", num_threads()}, {"memory_bytes", cpu.memory_bytes}, {"cache_bytes", cache_bytes()}};
  for (const DeviceInfo& info : all) {
    if (info.device != device || device == Device::cpu()) continue;
    machine["device"] = {{"name", info.name}, {"driver", info.driver}, {"features", info.features}};
    machine["device"]["index"] = to_string(device);
    machine["device"]["subgroup_size"] = info.subgroup_size;
  }
  return machine;
}

Json Meter::machine() const {
  Json machine = describe_machine(device_);
  if (!bandwidths_.empty()) machine["bandwidth_gb_per_s"] = median(bandwidths_) * 1e-9;
  for (const ArithmeticName& row : kArithmetics) {
    const auto& seen = peaks_[static_cast<std::size_t>(row.kind)];
    if (!seen.empty()) machine[row.key] = median(seen) * 1e-9;
  }
  return machine;
}

Arithmetic peak_of_packed(Precision precision, Device device) {
  if (precision == Precision::exact || device.type == DeviceType::vulkan) return Arithmetic::fp32;
  return precision == Precision::standard && cpu_unit() == "avx2" ? Arithmetic::int16 : Arithmetic::int8;
}

const char* name_of(Arithmetic kind) { return kArithmetics[static_cast<std::size_t>(kind)].name; }

const char* name_of(Precision precision) {
  return precision == Precision::exact ? "exact" : precision == Precision::standard ? "standard" : "fast";
}

}  // namespace nibble::cli
