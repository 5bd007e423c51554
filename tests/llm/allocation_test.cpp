// A step of decoding asks the system for no memory: what it needs, the step before has left in the free lists.
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "tests/llm/support.h"
#include "tests/support/sanitized.h"

namespace nibble::tests {
namespace {

std::atomic<std::size_t> allocations{0};

}  // namespace
}  // namespace nibble::tests

#ifndef NIBBLE_SANITIZED
// The C library's own functions, counted. Its free() takes what they give.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) noexcept {
  ++nibble::tests::allocations;
  return __libc_malloc(bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  ++nibble::tests::allocations;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** data, std::size_t alignment, std::size_t bytes) noexcept {
  ++nibble::tests::allocations;
  *data = __libc_memalign(alignment, bytes);
  return *data != nullptr ? 0 : ENOMEM;
}
}
#endif

namespace nibble::tests {
namespace {

/// On one thread: of several, one may come to its first task late, and fill its lists then.
class DecodeStep : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { set_num_threads(1); }
  void TearDown() override { set_num_threads(threads_); }

 private:
  int threads_ = num_threads();
};

TEST_P(DecodeStep, AllocatesNothing) {
  if (kSanitized) GTEST_SKIP() << "skipped: a sanitizer allocates by itself";
  if (options().device != Device::cpu()) GTEST_SKIP() << "skipped: is about the CPU";
  const llm::DecoderModel model = load_model(models() / GetParam());
  llm::Session session(model, 64);
  std::vector<std::size_t> counts;
  counts.reserve(64);
  llm::GenerateOptions greedy = greedy_for(40);
  const std::vector<std::int32_t> prompt{3, 1, 4, 1, 5};
  session.generate(prompt, greedy, [&](std::int32_t) {
    counts.push_back(allocations);
    return true;
  });
  ASSERT_EQ(counts.size(), 40u);
  EXPECT_EQ(counts.back() - counts[20], 0u) << "in 19 steps, after 20 that filled the lists";
  EXPECT_GT(counts[0], 0u) << "nothing was counted";
}

INSTANTIATE_TEST_SUITE_P(Models, DecodeStep, ::testing::Values("llama", "qwen2_mlx", "qwen3", "qwen3_moe_mlx"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace nibble::tests
