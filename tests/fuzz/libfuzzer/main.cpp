// libFuzzer's entry: `fuzz_readers --reader=NAME CORPUS...`; `--list` prints the names.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/fuzz/readers.h"
#include "tests/support/test_files.h"

namespace {

const nibble_test::Reader* reader = nullptr;

/// libFuzzer passes over arguments with two dashes.
void read_argument(std::string_view argument) {
  constexpr std::string_view kReader = "--reader=";
  if (argument == "--list") {
    for (const nibble_test::Reader& known : nibble_test::readers()) std::puts(known.name.data());
    std::exit(0);
  }
  if (argument.starts_with(kReader)) reader = nibble_test::find_reader(argument.substr(kReader.size()));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  for (int i = 1; i < *count; ++i) read_argument((*arguments)[i]);
  if (reader != nullptr) return 0;
  std::fputs("fuzz_readers: --reader=NAME with a name that --list prints\n", stderr);
  std::exit(1);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const nibble::tests::TemporaryFolder folder;
  nibble_test::feed(*reader, folder.path(), {reinterpret_cast<const char*>(data), size});
  return 0;
}
