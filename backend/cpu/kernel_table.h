#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "backend/common/matmul_kernel.h"
#include "backend/cpu/units/unit.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// The rows that every unit has; its functions take the unit.
struct KernelRow {
  std::string_view name;  ///< the unit's name follows it
  Precision precision;
  int priority;
  bool (*supports)(const Unit& unit, const MatmulQuery& query);
  void (*run)(const Unit& unit, const MatmulArgs& args);
  /// Whether the unit has it; null: every unit does.
  bool (*available)(const Unit& unit) = nullptr;
};
inline constexpr std::size_t kKernelRows = 10;
extern const std::array<KernelRow, kKernelRows> kKernelTable;

/// The kernel table of a unit.
template <const Unit& unit>
class UnitKernels {
 public:
  static std::span<const MatmulKernel> all() {
    static const UnitKernels table{std::make_index_sequence<kKernelRows>()};
    return {table.kernels_.data(), table.count_};
  }
  UnitKernels(const UnitKernels&) = delete;
  UnitKernels& operator=(const UnitKernels&) = delete;

 private:
  template <std::size_t... i>
  explicit UnitKernels(std::index_sequence<i...>) {
    (add(
         kKernelTable[i], [](const MatmulQuery& query) { return kKernelTable[i].supports(unit, query); },
         [](const MatmulArgs& args) { kKernelTable[i].run(unit, args); }),
     ...);
  }
  void add(const KernelRow& row, bool (*supports)(const MatmulQuery&), void (*run)(const MatmulArgs&)) {
    if (row.available != nullptr && !row.available(unit)) return;
    names_[count_] = std::string(row.name) + "_" + unit.name;
    kernels_[count_] = {names_[count_], row.precision, row.priority, supports, run};
    ++count_;
  }

  std::array<std::string, kKernelRows> names_;
  std::array<MatmulKernel, kKernelRows> kernels_{};
  std::size_t count_ = 0;
};

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
