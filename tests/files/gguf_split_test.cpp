#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>

#include "adapters/files/checkpoint.h"
#include "adapters/files/gguf.h"
#include "adapters/files/gguf_model_write.h"
#include "file_test_support.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::Checkpoint;
using nb::files::GgufFile;
using ::testing::HasSubstr;

fs::path part_name(int no, int count = 3) {
  return "tiny_qwen3moe-0000" + std::to_string(no) + "-of-0000" + std::to_string(count) + ".gguf";
}

std::string stored(const GgufFile& file, const nb::files::GgufTensor& tensor) {
  return std::string(file.files()[tensor.file]->text().substr(tensor.begin, tensor.bytes));
}

/// A copy of the model in three files that one can damage.
struct Parts {
  Parts() {
    for (int no = 1; no <= 3; ++no) fs::copy_file(goldens() / part_name(no), path(no));
  }
  fs::path path(int no) const { return folder.path() / part_name(no); }
  /// Of a number of 16 bits, as those of split.no and split.count are, or of 32.
  template <class T>
  void set(int no, std::string_view key, T value) const {
    std::string bytes = read_file(path(no));
    std::memcpy(bytes.data() + bytes.find(key) + key.size() + 4, &value, sizeof value);
    write_file(path(no), bytes);
  }
  std::string refusal(int no = 1) const {
    return error_text([&] { GgufFile(path(no)); });
  }

  TemporaryFolder folder;
};

TEST(GgufSplit, AnyPartOpensAll) {
  const GgufFile first(goldens() / part_name(1));
  ASSERT_EQ(first.files().size(), 3u);
  EXPECT_GT(first.tensors().back().file, first.tensors().front().file);
  for (int no = 2; no <= 3; ++no) {
    const GgufFile other(goldens() / part_name(no));
    EXPECT_EQ(other.path(), first.path());
    ASSERT_EQ(other.tensors().size(), first.tensors().size());
    for (const auto& tensor : first.tensors()) {
      const auto* same = other.find_tensor(tensor.name);
      ASSERT_NE(same, nullptr) << tensor.name;
      EXPECT_EQ(stored(first, tensor), stored(other, *same)) << tensor.name;
    }
    EXPECT_EQ(Checkpoint::open(goldens() / part_name(no)).tokenizer().tokens.size(), 319u);
  }
}

TEST(GgufSplit, OneFileIsMadeOfThem) {
  const TemporaryFolder scratch;
  write_model_gguf(Checkpoint::open(goldens() / part_name(1)), scratch / "m.gguf", {});
  const GgufFile parts(goldens() / part_name(1)), whole(scratch / "m.gguf");
  EXPECT_EQ(whole.files().size(), 1u);
  ASSERT_EQ(whole.tensors().size(), parts.tensors().size());
  for (const auto& tensor : parts.tensors())
    EXPECT_EQ(stored(parts, tensor), stored(whole, *whole.find_tensor(tensor.name))) << tensor.name;
}

/// Of the golden model, into a folder of the test's own.
nb::files::WrittenGguf write_parts(const fs::path& folder, const nb::files::GgufLimits& limits, bool force = false) {
  nb::files::GgufOptions options;
  options.limits = limits;
  options.force = force;
  return write_model_gguf(Checkpoint::open(goldens() / part_name(1)), folder / "tiny_qwen3moe.gguf", options);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

/// From its first tensor's first byte to the end.
std::string data_of(const fs::path& path) {
  const std::string bytes = read_file(path);
  const GgufFile whole(path);
  for (const auto& tensor : whole.tensors()) {
    if (whole.path_of(tensor) == path) return bytes.substr(tensor.begin);
  }
  return "";
}

// Nine tensors each, as the `gguf` package was told when it wrote them. All but the first file's metadata, which is
// made from the model's configuration, is that package's to the byte; and what is ours comes back to the byte.
TEST(GgufSplit, PartsOfTheSameLimitsAreTheSameBytes) {
  const TemporaryFolder scratch, again;
  const auto written = write_parts(scratch.path(), {.tensors = 9});
  EXPECT_TRUE(written.losses.empty());
  ASSERT_EQ(written.files.size(), 3u);
  for (int no = 1; no <= 3; ++no) {
    const fs::path own = scratch.path() / part_name(no);
    EXPECT_EQ(written.files[static_cast<std::size_t>(no - 1)], own);
    EXPECT_TRUE(data_of(own) == data_of(goldens() / part_name(no))) << no;
    EXPECT_TRUE(no == 1 || read_file(own) == read_file(goldens() / part_name(no))) << no;
  }
  nb::files::GgufOptions options;
  options.limits.tensors = 9;
  write_model_gguf(Checkpoint::open(written.files[1]), again.path() / "tiny_qwen3moe.gguf", options);
  EXPECT_EQ(names_in(again.path()), names_in(scratch.path()));
  for (int no = 1; no <= 3; ++no)
    EXPECT_TRUE(read_file(again.path() / part_name(no)) == read_file(scratch.path() / part_name(no))) << no;
}

TEST(GgufSplit, AFileIsAsFullAsItsLimit) {
  const GgufFile model(goldens() / part_name(1));
  const auto padded = [&](std::size_t i) { return (model.tensors()[i].bytes + 31) / 32 * 32; };
  const TemporaryFolder scratch;
  const std::uint64_t limit = padded(0) + padded(1) + padded(2);
  const auto first_has = [&](std::uint64_t bytes) {
    const GgufFile written(write_parts(scratch.path(), {.bytes = bytes}, true).files.front());
    EXPECT_EQ(written.tensors().size(), model.tensors().size());
    return std::ranges::count(written.tensors(), 0u, &nb::files::GgufTensor::file);
  };
  EXPECT_EQ(first_has(limit), 3);
  EXPECT_EQ(first_has(limit - 1), 2);
  EXPECT_EQ(write_parts(scratch.path(), {.bytes = 1}, true).files.size(), model.tensors().size());  // larger, each
  EXPECT_EQ(write_parts(scratch.path(), {.bytes = 1 << 30}).files.front(), scratch / "tiny_qwen3moe.gguf");
  EXPECT_FALSE(GgufFile(scratch / "tiny_qwen3moe.gguf").has("split.count"));
}

TEST(GgufSplit, OnFailureNoPartIsThere) {
  const TemporaryFolder scratch;
  nb::files::GgufOptions options;
  options.limits.tensors = 9;
  options.force = true;
  const Checkpoint model = Checkpoint::open(goldens() / part_name(1));
  const fs::path out = scratch / "tiny_qwen3moe.gguf";
  const auto stopped = [&](std::size_t after) {
    options.progress = [after](std::size_t done, std::size_t, std::string_view) {
      if (done == after) throw nb::Error(nb::ErrorCode::unsupported, "stopped");
    };
    return error_text([&] { write_model_gguf(model, out, options); });
  };
  for (const std::size_t after : {0, 13, 27}) EXPECT_EQ(stopped(after), "stopped");
  EXPECT_TRUE(fs::is_empty(scratch.path()));
  // A name that is taken when all is written.
  options.progress = [&](std::size_t done, std::size_t total, std::string_view) {
    if (done == total) fs::create_directories(scratch.path() / part_name(2) / "in the way");
  };
  EXPECT_THAT(error_text([&] { write_model_gguf(model, out, options); }), HasSubstr("cannot be replaced"));
  EXPECT_EQ(names_in(scratch.path()), std::vector<std::string>{part_name(2).string()});
  fs::remove_all(scratch.path() / part_name(2));

  options.progress = nullptr;
  write_model_gguf(model, out, options);
  const std::string old = read_file(scratch.path() / part_name(3));
  EXPECT_EQ(stopped(27), "stopped");
  EXPECT_TRUE(read_file(scratch.path() / part_name(3)) == old);
  options.force = false;
  options.progress = nullptr;
  fs::remove(scratch.path() / part_name(1));
  EXPECT_THAT(error_text([&] { write_model_gguf(model, out, options); }),
              testing::AllOf(HasSubstr(part_name(2).string()), HasSubstr("exists already")));
  EXPECT_EQ(names_in(scratch.path()).size(), 2u);
}

TEST(GgufSplit, AMissingPartIsNamed) {
  const Parts parts;
  fs::remove(parts.path(2));
  EXPECT_THAT(parts.refusal(3), testing::AllOf(HasSubstr(part_name(2).string()), HasSubstr("is missing"),
                                               HasSubstr("3 files"), HasSubstr("split.count")));
}

TEST(GgufSplit, NumbersThatDoNotFitAreRefused) {
  const Parts count;
  count.set<std::uint16_t>(2, "split.count", 4);
  EXPECT_THAT(count.refusal(), testing::AllOf(HasSubstr(part_name(2).string()), HasSubstr("1 of 4, not 1 of 3")));
  const Parts no;
  no.set<std::uint16_t>(3, "split.no", 1);
  EXPECT_THAT(no.refusal(), testing::AllOf(HasSubstr(part_name(3).string()), HasSubstr("1 of 3, not 2 of 3")));
  no.set<std::uint16_t>(3, "split.no", 3);
  EXPECT_THAT(no.refusal(3), HasSubstr("split.no: 3 is not below split.count (3)"));
  const Parts tensors;
  for (int part = 1; part <= 3; ++part) tensors.set<std::int32_t>(part, "split.tensors.count", 40);
  EXPECT_THAT(tensors.refusal(), HasSubstr("split.tensors.count: is 40, but the 3 files have 27"));
  tensors.set<std::int32_t>(3, "split.tensors.count", 41);
  EXPECT_THAT(tensors.refusal(), testing::AllOf(HasSubstr(part_name(3).string()), HasSubstr("split.tensors.count")));
}

TEST(GgufSplit, ANameThatSaysSomethingElseIsRefused) {
  const Parts parts;
  fs::rename(parts.path(1), parts.folder.path() / "model.gguf");
  EXPECT_THAT(error_text([&] { GgufFile(parts.folder.path() / "model.gguf"); }),
              testing::AllOf(HasSubstr("model.gguf: split.no"), HasSubstr("-00001-of-00003.gguf")));
}

TEST(GgufSplit, ATensorOfTwoPartsIsRefused) {
  const Parts parts;
  std::string third = read_file(parts.path(3));
  const std::string_view own = "blk.1.attn_v.weight", other = "blk.0.attn_v.weight";
  third.replace(third.find(own), own.size(), other);
  write_file(parts.path(3), third);
  EXPECT_THAT(parts.refusal(), testing::AllOf(HasSubstr(part_name(3).string()), HasSubstr("blk.0.attn_v.weight: is in"),
                                              HasSubstr("too")));
}

// What gguf-split leaves in a file that it merged.
TEST(GgufSplit, ACountOfZeroIsAWholeFile) {
  const Parts parts;
  parts.set<std::uint16_t>(1, "split.count", 0);
  EXPECT_EQ(GgufFile(parts.path(1)).files().size(), 1u);
}

}  // namespace
}  // namespace nibble_test
