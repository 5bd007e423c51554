#include "adapters/files/file_error.h"

#include <fmt/format.h>

#include <cstring>

namespace nibble {
inline namespace v0 {
namespace files {

std::string shown(std::string_view name) {
  constexpr std::size_t kLongest = 120;
  std::string out;
  for (const char c : name.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (name.size() > kLongest) out += "…";
  return out;
}

void refuse(ErrorCode code, const std::filesystem::path& file, std::string_view tensor, std::string_view rule) {
  if (tensor.empty()) throw Error(code, fmt::format("{}: {}", shown(file.string()), rule));
  throw Error(code, fmt::format("{}: {}: {}", shown(file.string()), shown(tensor), rule));
}

void io_failure(const std::filesystem::path& file, std::string_view what, int error_number) {
  throw Error(ErrorCode::io_error, fmt::format("{}: {}: {}", shown(file.string()), what, std::strerror(error_number)));
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
