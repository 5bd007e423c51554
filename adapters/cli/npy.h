#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "adapters/files/atomic_file.h"

namespace nibble::cli {

/// Writes a float32 matrix row by row as NumPy's .npy, version 1.0 (NEP 1). The file appears when it is whole.
class NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& path, std::int64_t rows, std::int64_t columns);
  void write(std::span<const float> values);
  void commit() { file_.commit(); }

 private:
  files::AtomicFile file_;
};

}  // namespace nibble::cli
