#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "nibble/device.h"
#include "nibble/vulkan.h"

namespace nibble::cli {
namespace {

class Devices final : public Command {
 public:
  void declare(Arguments&) override {}

  Json run(const Console&) override {
    Json rows = Json::array();
    for (const DeviceInfo& info : devices()) {
      const bool is_cpu = info.device == Device::cpu();
      rows.push_back({{"device", to_string(info.device)},
                      {"name", info.name},
                      {"driver", info.driver},
                      {"software", info.software},
                      {"subgroup_size", info.subgroup_size},
                      {"features", info.features},
                      {"memory_bytes", info.memory_bytes},
                      {"free_bytes", is_cpu ? Json() : Json(free_memory(info.device))}});
    }
    return {{"devices", std::move(rows)},
            {"vulkan_absence", vulkan_absence()},
            {"cpu_units", cpu_units()},
            {"cpu_unit", cpu_unit()},
            {"threads", num_threads()}};
  }

  void print(const Json& result) const override {
    for (const Json& row : result["devices"]) {
      const auto gib = [&](const char* key) { return row[key].get<double>() / (1 << 30); };
      fmt::print("{}  {}  {:.1f} GiB{}\n", row["device"].get<std::string>(), row["name"].get<std::string>(),
                 gib("memory_bytes"),
                 row["free_bytes"].is_null() ? "" : fmt::format(", {:.1f} free", gib("free_bytes")));
      if (const auto driver = row["driver"].get<std::string>(); !driver.empty()) {
        fmt::print("      driver {}, subgroups of {}{}\n", driver, row["subgroup_size"].get<int>(),
                   row["software"].get<bool>() ? ", software" : "");
      }
      fmt::print("      {}\n", fmt::join(row["features"].get<std::vector<std::string>>(), " "));
    }
    if (const auto why = result["vulkan_absence"].get<std::string>(); !why.empty()) fmt::print("vulkan  {}\n", why);
    fmt::print("units {} (in use: {}), {} threads\n",
               fmt::join(result["cpu_units"].get<std::vector<std::string>>(), " "),
               result["cpu_unit"].get<std::string>(), result["threads"].get<int>());
  }
};

}  // namespace

std::unique_ptr<Command> make_devices() { return std::make_unique<Devices>(); }

}  // namespace nibble::cli
