#include "adapters/cli/npy.h"

#include <fmt/format.h>

#include <string>

namespace nibble::cli {

NpyWriter::NpyWriter(const std::filesystem::path& path, std::int64_t rows, std::int64_t columns) : file_(path) {
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  constexpr std::size_t kPrefix = 10;  // magic, version, length
  header.append(63 - (kPrefix + header.size()) % 64, ' ');
  header.push_back('\n');
  file_.write(std::string_view("\x93NUMPY\x01\x00", 8));
  const char length[] = {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  file_.write(std::string_view(length, 2));
  file_.write(header);
}

void NpyWriter::write(std::span<const float> values) { file_.write(std::as_bytes(values)); }

}  // namespace nibble::cli
