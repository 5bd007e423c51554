#pragma once

#include <filesystem>
#include <span>
#include <string_view>

namespace nibble_test {

/// A reader of what strangers wrote, by the bytes of its files: libFuzzer feeds it, and a test replays inputs.
struct Reader {
  std::string_view name;  ///< also of the folders of its inputs
  /// Writes the files into a folder that is its own, and does with them what a user would.
  void (*read)(const std::filesystem::path& folder, std::string_view bytes);
};
std::span<const Reader> readers();
/// Null where there is none of that name.
const Reader* find_reader(std::string_view name);

/// Whatever the bytes are, `reader` reads them or throws an Error of one line, and allocates no more than 16 MiB and
/// four times their number. Throws std::logic_error, or what the reader threw, where it does not.
void feed(const Reader& reader, const std::filesystem::path& folder, std::string_view bytes);

}  // namespace nibble_test
