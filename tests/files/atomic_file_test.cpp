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

TEST(AtomicFile, KeepsThePermissionsOfWhatItReplaces) {
  const TemporaryFolder scratch;
  for (const auto mode : {fs::perms::owner_read | fs::perms::owner_write, fs::perms(0666)}) {
    write_file(scratch / "file", "old");
    fs::permissions(scratch / "file", mode);
    AtomicFile file(scratch / "file");
    file.write(std::string_view("new"));
    for (const auto& entry : fs::directory_iterator(scratch.path())) EXPECT_EQ(entry.status().permissions(), mode);
    file.commit();
    EXPECT_EQ(read_file(scratch / "file"), "new");
    EXPECT_EQ(fs::status(scratch / "file").permissions(), mode);
  }
}

TEST(AtomicFile, WritesWhereALinkPoints) {
  const TemporaryFolder scratch;
  fs::create_directory(scratch / "there");
  fs::create_symlink("there/link", scratch / "link");
  fs::create_symlink(scratch / "there/file", scratch / "there/link");
  for (const char* text : {"first", "second"}) {  // while nothing is there, and then
    nibble::files::write_file(scratch / "link", text);
    EXPECT_TRUE(fs::is_symlink(scratch / "link"));
    EXPECT_TRUE(fs::is_symlink(scratch / "there/link"));
    EXPECT_EQ(read_file(scratch / "there/file"), text);
  }
  fs::create_symlink("loop", scratch / "loop");
  EXPECT_NE(error_text([&] { nibble::files::write_file(scratch / "loop", "x"); }).find("loop"), std::string::npos);
  EXPECT_TRUE(fs::is_symlink(scratch / "loop"));
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
