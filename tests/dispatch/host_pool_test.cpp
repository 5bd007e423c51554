// An embedder's own threads do the work, and change no number.
#include <gtest/gtest.h>

#include <thread>

#include "nibble/device.h"
#include "nibble/error.h"
#include "nibble/ops.h"

namespace {

namespace nb = nibble;

TEST(HostPool, RunsOperationsWithTheSameResults) {
  const nb::with on_host({});
  const nb::Tensor w = nb::quantize(nb::random_normal({512, 1024}, 1));
  const nb::Tensor x = nb::random_normal({64, 1024}, 2);
  const auto work = [&] {
    const nb::Tensor y = nb::softmax(nb::matmul(x, nb::transpose(w)));
    return nb::rms_norm(y, nb::ones({512})).to_vector<float>();
  };
  const int before = nb::num_threads();
  nb::set_num_threads(1);
  const std::vector<float> want = work();
  int calls = 0;
  std::int64_t tasks = 0;
  nb::set_parallel_for(
      [&](std::int64_t count, const std::function<void(std::int64_t)>& task) {
        ++calls, tasks += count;
        std::vector<std::thread> threads;
        for (std::int64_t i = count; i-- > 0;) threads.emplace_back([&task, i] { task(i); });
        for (std::thread& thread : threads) thread.join();
      },
      3);
  EXPECT_EQ(work(), want);
  EXPECT_GT(calls, 0);
  EXPECT_GT(tasks, calls) << "nothing was shared out";
  const int seen = calls;
  nb::set_parallel_for({}, 0);
  nb::set_num_threads(3);
  EXPECT_EQ(work(), want);
  EXPECT_EQ(calls, seen) << "the host's pool was given back";
  nb::set_num_threads(before);
}

TEST(HostPool, SomeCallsMayHaveAPoolOfTheirOwn) {
  const nb::with on_host({});
  const nb::Tensor w = nb::quantize(nb::random_normal({512, 1024}, 1));
  const nb::Tensor x = nb::random_normal({64, 1024}, 2);
  const std::vector<float> want = nb::matmul(x, nb::transpose(w)).to_vector<float>();
  std::int64_t tasks = 0;
  const nb::Executor pool{[&](std::int64_t count, const std::function<void(std::int64_t)>& task) {
                            tasks += count;
                            for (std::int64_t i = 0; i < count; ++i) task(i);
                          },
                          5};
  EXPECT_EQ(nb::matmul(x, nb::transpose(w), {.executor = &pool}).to_vector<float>(), want);
  EXPECT_GE(tasks, 5) << "the call's own pool was not used, or not for all its threads";
  const std::int64_t seen = tasks;
  {
    const nb::with scope({.executor = &pool});
    EXPECT_EQ(nb::num_threads(), 5);
    EXPECT_EQ(nb::matmul(x, nb::transpose(w)).to_vector<float>(), want);
  }
  EXPECT_GT(tasks, seen);
  const std::int64_t all = tasks;
  EXPECT_EQ(nb::matmul(x, nb::transpose(w)).to_vector<float>(), want);
  EXPECT_EQ(tasks, all) << "used after its scope had ended";
  const nb::Executor empty{};
  EXPECT_THROW(nb::with scope({.executor = &empty}), nb::Error);
}

}  // namespace
