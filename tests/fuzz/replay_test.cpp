// What fuzzing began with and what it found, read once more by every build.
#include <gtest/gtest.h>

#include <set>

#include "tests/fuzz/readers.h"
#include "tests/support/test_files.h"

namespace nibble_test {
namespace {

namespace fs = std::filesystem;
using nibble::tests::read_file;
using nibble::tests::TemporaryFolder;

/// The inputs of one reader, in a fixed order.
std::set<fs::path> inputs(const char* kind, std::string_view reader) {
  const fs::path folder = nibble::tests::source_dir() / "tests" / "fuzz" / kind / reader;
  if (!fs::exists(folder)) return {};
  return {fs::directory_iterator(folder), {}};
}

TEST(Fuzz, EveryReaderHasInputsToBeginWith) {
  for (const Reader& reader : readers()) EXPECT_FALSE(inputs("corpus", reader.name).empty()) << reader.name;
}

TEST(Fuzz, KnownInputsAreReadOrRefused) {
  for (const Reader& reader : readers()) {
    const TemporaryFolder folder;
    for (const char* kind : {"corpus", "regressions"}) {
      for (const fs::path& input : inputs(kind, reader.name))
        EXPECT_NO_THROW(feed(reader, folder.path(), read_file(input))) << input;
    }
  }
}

}  // namespace
}  // namespace nibble_test
