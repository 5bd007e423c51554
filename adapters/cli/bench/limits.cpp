#include "nibble/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "nibble/device.h"
#include "nibble/ops.h"

namespace nibble::cli {
namespace {

constexpr int kRounds = 7, kRoundsInBrief = 3;

/// The median rate of each loop over some rounds, in billions a second.
template <class Probe>
Json rates_of(int rounds, Probe&& probe) {
  std::map<std::string, std::vector<double>> seen;
  for (int round = 0; round < rounds; ++round) {
    for (const LoopRate& rate : probe()) seen[rate.loop].push_back(rate.per_second * 1e-9);
  }
  Json rates = Json::object();
  for (const auto& [loop, values] : seen) rates[loop] = median(values);
  return rates;
}

double best(const Json& rates) {
  double highest = 0;
  for (const Json& rate : rates) highest = std::max(highest, rate.get<double>());
  return highest;
}

class Limits final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.flag("--brief", &brief_, "only the instruction set in use, on all threads, in a quarter of a second");
    options_.declare_device(arguments);
    options_.declare(arguments);
  }

  Json run(const Console&) override {
    options_.apply();
    if (options_.device() != Device::cpu()) return of_device(options_.device(), brief_ ? kRoundsInBrief : kRounds);
    const Tensor buffer = full({static_cast<std::int64_t>(cold_bytes())}, 1, DType::u8);
    const int most = num_threads(), rounds = brief_ ? kRoundsInBrief : kRounds;
    Json sets = Json::object();
    for (const std::string& unit : brief_ ? std::vector{cpu_unit()} : cpu_units()) {
      for (int threads = brief_ ? most : 1; threads <= most; ++threads) {
        set_num_threads(threads);
        add(sets[unit], "bandwidth_gb_per_s", threads, rates_of(rounds, [&] { return measure_reading(buffer, unit); }));
        for (const ArithmeticName& row : kArithmetics) {
          if (!row.of_cpus) continue;
          add(sets[unit], row.key, threads, rates_of(rounds, [&] { return measure_arithmetic(row.kind, {}, unit); }));
        }
      }
    }
    set_num_threads(most);
    Json result = {{"machine", describe_machine()}, {"isa", cpu_unit()}};
    result.update(sets[cpu_unit()]);
    result["instruction_sets"] = std::move(sets);
    return result;
  }

  void print(const Json& result) const override {
    if (result.contains("device")) return print_device(result);
    fmt::print("{}, billions a second\n", result["machine"]["cpu"].get<std::string>());
    for (const auto& [unit, rates] : result["instruction_sets"].items()) {
      for (const auto& [key, by_threads] : rates.items()) {
        if (key == "loops") continue;
        fmt::print("{:<8}{:<20}", unit, key);
        for (const auto& [threads, rate] : by_threads.items())
          fmt::print("  {} × {:>8.1f}", threads, rate.get<double>());
        fmt::print("\n");
        if (!rates["loops"].contains(key)) continue;
        for (const auto& [loop, loop_rates] : rates["loops"][key].items()) {
          fmt::print("          {:<36}", loop);
          for (const auto& [threads, rate] : loop_rates.items()) fmt::print("  {:>8.1f}", rate.get<double>());
          fmt::print("\n");
        }
      }
    }
  }

 private:
  /// Rates of the fastest loop under the CPU's keys, null where the device has none; and "copy_gb_per_s".
  static Json of_device(Device device, int rounds) {
    Json result = {{"machine", describe_machine(device)}, {"device", to_string(device)}};
    const auto add = [&](const char* key, const Json& rates) {
      result[key] = rates.empty() ? Json() : Json(best(rates));
      if (!rates.empty()) result["loops"][key] = rates;
    };
    const Tensor buffer = full({static_cast<std::int64_t>(cold_bytes())}, 1, DType::u8).to(device);
    add("bandwidth_gb_per_s", rates_of(rounds, [&] { return measure_reading(buffer); }));
    result["copy_gb_per_s"] = result["loops"]["bandwidth_gb_per_s"]["copied"];
    for (const ArithmeticName& row : kArithmetics) {
      add(row.key, rates_of(rounds, [&] { return measure_arithmetic(row.kind, device); }));
    }
    return result;
  }

  static void print_device(const Json& result) {
    fmt::print("{}, {}, billions a second\n", result["device"].get<std::string>(),
               result["machine"]["device"]["name"].get<std::string>());
    for (const auto& [key, rates] : result["loops"].items()) {
      for (const auto& [loop, rate] : rates.items())
        fmt::print("{:<20}{:<32}{:>8.1f}\n", key, loop, rate.get<double>());
    }
  }

  /// The fastest loop under the key, and every loop by name under "loops".
  static void add(Json& unit, const char* key, int threads, const Json& rates) {
    const std::string count = std::to_string(threads);
    unit[key][count] = best(rates);
    for (const auto& [loop, rate] : rates.items()) unit["loops"][key][loop][count] = rate;
  }

  BenchOptions options_;
  bool brief_ = false;
};

}  // namespace

std::unique_ptr<Command> make_bench_limits() { return std::make_unique<Limits>(); }

}  // namespace nibble::cli
