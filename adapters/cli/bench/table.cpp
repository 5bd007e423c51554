#include "adapters/cli/bench/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "adapters/cli/bench/meter.h"

namespace nibble::cli {
namespace {

std::string cell(const Json& row, const Column& column) {
  const auto found = row.find(column.key);
  if (found == row.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number_float()) return fmt::format(fmt::runtime(column.format), found->get<double>());
  return found->dump();
}

/// Characters of UTF-8.
std::size_t length(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

void print_table(const Json& rows, std::span<const Column> columns) {
  std::vector<std::vector<std::string>> lines(1);
  std::vector<std::size_t> widths;
  for (const Column& column : columns) lines[0].emplace_back(column.title);
  for (const Json& row : rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (const Column& column : columns) line.push_back(cell(row, column));
  }
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::size_t widest = 0;
    for (const auto& line : lines) widest = std::max(widest, length(line[c]));
    widths.push_back(widest);
  }
  for (const auto& line : lines) {
    for (std::size_t c = 0; c < line.size(); ++c) {
      const std::string space(widths[c] - length(line[c]), ' ');
      fmt::print("{}", c == 0 ? line[c] + space : "  " + space + line[c]);
    }
    fmt::print("\n");
  }
}

void print_machine(const Json& machine) {
  fmt::print("{}, {}, {} threads", machine["cpu"].get<std::string>(), machine["isa"].get<std::string>(),
             machine["threads"].get<int>());
  if (machine.contains("bandwidth_gb_per_s")) {
    fmt::print(", reads {:.1f} GB/s", machine["bandwidth_gb_per_s"].get<double>());
  }
  for (const ArithmeticName& row : kArithmetics) {
    if (machine.contains(row.key)) fmt::print(", {} {:.0f} G/s", row.name, machine[row.key].get<double>());
  }
  fmt::print("\n");
}

}  // namespace nibble::cli
