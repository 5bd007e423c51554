#include "adapters/files/atomic_file.h"

#include "file_test_support.h"

namespace nibble_test {
namespace {

using nibble::files::AtomicFile;
using nibble::files::AtomicFolder;

std::ptrdiff_t entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

TEST(Leftovers, OfTheSameNameGo) {
  const TemporaryFolder scratch;
  fs::create_directories(scratch / ".out.123-0.tmp" / "deep");
  write_file(scratch / ".out.123-0.tmp" / "deep" / "file", "x");
  write_file(scratch / ".out.77-12.tmp", "x");
  for (const char* other :
       {".out.notes.tmp", ".out2.123-0.tmp", ".out.123-0.old", "out.123-0.tmp", ".out..tmp", ".out.tmp"}) {
    write_file(scratch / other, "x");
  }
  AtomicFolder folder(scratch / "out", false);
  EXPECT_FALSE(fs::exists(scratch / ".out.123-0.tmp"));
  EXPECT_FALSE(fs::exists(scratch / ".out.77-12.tmp"));
  EXPECT_EQ(entries(scratch.path()), 7) << "six of others, and the new one";
}

TEST(Leftovers, AreNotWhatSomebodyStillWrites) {
  const TemporaryFolder scratch;
  AtomicFolder first(scratch / "out", true);
  write_file(first.path() / "file", "first");
  AtomicFolder second(scratch / "out", true);
  write_file(second.path() / "file", "second");
  AtomicFile file(scratch / "out");
  EXPECT_TRUE(fs::exists(first.path() / "file"));
  first.commit();
  second.commit();
  EXPECT_EQ(read_file(scratch / "out" / "file"), "second");
  EXPECT_EQ(entries(scratch.path()), 2) << "the folder, and the file that is not there yet";
}

TEST(AtomicFolder, ReplacesAFolderWhole) {
  const TemporaryFolder scratch;
  fs::create_directory(scratch / "out");
  write_file(scratch / "out" / "old", "x");
  {
    AtomicFolder folder(scratch / "out", true);
    write_file(folder.path() / "new", "y");
    EXPECT_TRUE(fs::exists(scratch / "out" / "old"));
    folder.commit();
  }
  EXPECT_FALSE(fs::exists(scratch / "out" / "old"));
  EXPECT_EQ(read_file(scratch / "out" / "new"), "y");
  EXPECT_EQ(entries(scratch.path()), 1);
}

}  // namespace
}  // namespace nibble_test
