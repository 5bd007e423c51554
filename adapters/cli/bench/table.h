#pragma once

#include <span>

#include "adapters/cli/command.h"

namespace nibble::cli {

/// A column of what people read: a key of each row and how its value is written, as {fmt} has it.
struct Column {
  const char* key;
  const char* title;
  const char* format;  ///< of a number: "{:.1f}"; texts stand as they are
};

/// Prints rows as an aligned table. A row without a key has an empty place.
void print_table(const Json& rows, std::span<const Column> columns);
/// Prints the machine that the rows were measured on in one line.
void print_machine(const Json& machine);

}  // namespace nibble::cli
