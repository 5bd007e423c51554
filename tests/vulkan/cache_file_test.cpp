#include "backend/vulkan/cache_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "nibble/ops.h"
#include "tests/support/test_files.h"
#include "tests/support/wanted_device.h"

namespace nibble::tests {
namespace {

using detail::vulkan::CacheFile;
namespace fs = std::filesystem;

std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> data(count);
  for (std::size_t i = 0; i < count; ++i) data[i] = static_cast<std::byte>(i * 37);
  return data;
}

TEST(CacheFile, HoldsWhatWasWrittenForTheSameKey) {
  const TemporaryFolder scratch;
  const fs::path path = scratch.path() / "deep" / "cache.bin";
  const CacheFile file(path, 1);
  EXPECT_TRUE(file.read().empty());
  for (const std::size_t count : {1000, 0, 20}) {
    file.write(some_bytes(count));
    EXPECT_EQ(file.read(), some_bytes(count));
  }
  EXPECT_TRUE(CacheFile(path, 2).read().empty());
  EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), {}), 1);  // no draft stays
}

TEST(CacheFile, WhatIsDamagedHoldsNothing) {
  const TemporaryFolder scratch;
  const fs::path path = scratch.path() / "cache.bin";
  const CacheFile file(path, 1);
  file.write(some_bytes(100));
  std::string whole;
  {
    std::ifstream in(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    std::string wrong = whole;
    wrong[at] ^= 1;
    for (const std::string& text : {wrong, whole.substr(0, at), whole + "x"}) {
      std::ofstream(path, std::ios::binary) << text;
      EXPECT_TRUE(file.read().empty()) << at;
    }
  }
}

TEST(CacheFile, NoPlaceToWriteIsNoError) {
  CacheFile({}, 1).write(some_bytes(10));
  CacheFile("/dev/null/nowhere", 1).write(some_bytes(10));
  EXPECT_TRUE(CacheFile("/dev/null/nowhere", 1).read().empty());
}

TEST(CacheFile, PipelinesAreKeptInTheUsersFolder) {
  const char* caches = std::getenv("XDG_CACHE_HOME");
  if (!wanted_device()) GTEST_SKIP() << "skipped: NIBBLE_DEVICE names no device";
  if (!caches) GTEST_SKIP() << "skipped: XDG_CACHE_HOME names no folder";
  (ones({3}).to(*wanted_device()) + 1).to_vector<float>();
  EXPECT_FALSE(fs::is_empty(fs::path(caches) / "nibble"));
}

}  // namespace
}  // namespace nibble::tests
