// Options, threads, devices, counters, and what can be done.

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "adapters/hosts/capability.h"
#include "adapters/hosts/python/bindings.h"
#include "adapters/hosts/python/casters.h"
#include "nibble/device.h"
#include "nibble/error.h"
#include "nibble/options.h"

namespace nb = nanobind;
using namespace nanobind::literals;

namespace nibble {
namespace hosts {
namespace {

constexpr std::array kPrecisions = {std::string_view("exact"), std::string_view("standard"), std::string_view("fast")};
constexpr std::array kPermissions = {std::string_view("allow"), std::string_view("error")};
constexpr std::array kCapabilities = {"refused", "decoded", "native"};

template <class Enum, std::size_t N>
Enum named(const std::string& text, const std::array<std::string_view, N>& names, const char* option) {
  std::string known;
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
    known += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  throw Error(ErrorCode::invalid_argument, std::string("[options] ") + option + " '" + text + "': one of " + known);
}

/// Options in force on a thread while a `with` block runs. What lies in force belongs to the thread, not to the Python
/// object, which may be dropped, or left out of order, at any time.
class OptionsScope {
 public:
  OptionsScope(std::optional<std::string> precision, std::optional<std::string> fallback,
               std::optional<std::string> transfer, std::optional<bool> deterministic,
               std::optional<std::string> device) {
    if (precision) precision_ = named<Precision>(*precision, kPrecisions, "precision");
    if (fallback) fallback_ = named<Fallback>(*fallback, kPermissions, "fallback");
    if (transfer) transfer_ = named<Transfer>(*transfer, kPermissions, "transfer");
    deterministic_ = deterministic;
    if (device) device_ = Device::parse(*device);
  }

  void enter() {
    Options merged = options();
    merged.precision = precision_.value_or(merged.precision);
    merged.fallback = fallback_.value_or(merged.fallback);
    merged.transfer = transfer_.value_or(merged.transfer);
    merged.deterministic = deterministic_.value_or(merged.deterministic);
    merged.device = device_.value_or(merged.device);
    in_force().push_back({this, std::make_unique<with>(merged)});
  }
  void leave() {
    if (in_force().empty() || in_force().back().first != this) {
      throw std::runtime_error("[options] left out of order, or on another thread than entered");
    }
    in_force().pop_back();
  }

 private:
  using Stack = std::vector<std::pair<const OptionsScope*, std::unique_ptr<with>>>;
  static Stack& in_force() {
    thread_local Stack stack;
    return stack;
  }

  std::optional<Precision> precision_;
  std::optional<Fallback> fallback_;
  std::optional<Transfer> transfer_;
  std::optional<bool> deterministic_;
  std::optional<Device> device_;
};

}  // namespace

void bind_settings(nb::module_& m) {
  nb::class_<OptionsScope>(m, "options", "Overrides options of this thread within a `with` block; None keeps one.")
      .def(nb::init<std::optional<std::string>, std::optional<std::string>, std::optional<std::string>,
                    std::optional<bool>, std::optional<std::string>>(),
           nb::kw_only(), "precision"_a = nb::none(), "fallback"_a = nb::none(), "transfer"_a = nb::none(),
           "deterministic"_a = nb::none(), "device"_a = nb::none())
      .def("__enter__", [](OptionsScope& scope) { scope.enter(); })
      .def(
          "__exit__", [](OptionsScope& scope, const nb::args&) { scope.leave(); },
          nb::sig("def __exit__(self, *args: object) -> None"));

  m.def("num_threads", &num_threads, "How many threads of the process compute.");
  m.def("set_num_threads", &set_num_threads, "count"_a,
        "How many threads of the process compute from now on. Raises ArgumentError for fewer than one.");
  m.def(
      "set_default_device", [](const std::string& device) { set_default_device(Device::parse(device)); }, "device"_a,
      "Where tensors are made from now on: \"cpu\", \"vulkan:0\". Raises UnsupportedError for one that is not there.");
  m.def(
      "default_device", [] { return to_string(options().device); }, "Where tensors are made: \"cpu\".");
  m.def(
      "devices",
      [] {
        std::vector<std::string> names;
        for (const DeviceInfo& info : devices()) names.push_back(to_string(info.device));
        return names;
      },
      "What computes here, by the names that to_device takes.");
  m.def(
      "stats",
      [] {
        const Stats s = stats();
        return std::map<std::string, std::uint64_t>{{"bytes_dequantized", s.bytes_dequantized},
                                                    {"bytes_copied", s.bytes_copied},
                                                    {"bytes_moved", s.bytes_moved},
                                                    {"bytes_allocated", s.bytes_allocated},
                                                    {"peak_bytes_allocated", s.peak_bytes_allocated},
                                                    {"ops_cpu", s.ops_cpu},
                                                    {"ops_vulkan", s.ops_vulkan}};
      },
      "Since the last reset_stats(): bytes dequantized, copied where an update could not be in place, moved between "
      "devices and allocated, the most at once, and operations by device.");
  m.def("reset_stats", &reset_stats, "Sets the counts of stats() to zero.");
  m.def(
      "capability",
      [](const std::string& op, DType dtype, const std::optional<std::string>& format, const Shape& shape,
         const std::string& device) {
        return kCapabilities[static_cast<std::size_t>(capability(op, dtype, format, shape, Device::parse(device)))];
      },
      "op"_a, "dtype"_a, "format"_a = nb::none(), "shape"_a.none() = nb::none(), "device"_a = "cpu");
}

}  // namespace hosts
}  // namespace nibble
