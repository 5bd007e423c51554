#include "backend/common/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "nibble/error.h"

namespace nibble::detail {
namespace {

/// Each test runs with a fixed number of threads, more than a small machine has cores.
class ExecutorTest : public ::testing::Test {
 protected:
  void SetUp() override { set_num_threads(4); }
  void TearDown() override {
    set_parallel_for({}, 1);
    set_num_threads(before_);
  }
  int before_ = num_threads();
};

TEST_F(ExecutorTest, RunsEveryTaskOnce) {
  for (std::int64_t count : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
    parallel_for(count, [&](std::int64_t i) { seen[static_cast<std::size_t>(i)].fetch_add(1); });
    for (auto& n : seen) EXPECT_EQ(n.load(), 1) << "of " << count;
  }
}

TEST_F(ExecutorTest, WritesOfTasksAreVisibleToTheCaller) {
  for (int round = 0; round < 2000; ++round) {
    std::vector<int> values(8, 0);
    parallel_for(8, [&](std::int64_t i) { values[static_cast<std::size_t>(i)] = round + static_cast<int>(i); });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), 0), 8 * round + 28);
  }
}

TEST_F(ExecutorTest, SeveralThreadsReallyTakePart) {
  std::mutex mutex;
  std::vector<std::thread::id> ids;
  std::atomic<int> arrived{0};
  parallel_for(2, [&](std::int64_t) {
    arrived.fetch_add(1);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived.load() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    std::lock_guard lock(mutex);
    ids.push_back(std::this_thread::get_id());
  });
  EXPECT_EQ(arrived.load(), 2);
  EXPECT_NE(ids[0], ids[1]);
}

TEST_F(ExecutorTest, NestedCallsEnd) {
  std::atomic<int> leaves{0};
  for (int round = 0; round < 50; ++round) {
    parallel_for(5, [&](std::int64_t) {
      parallel_for(5, [&](std::int64_t) { parallel_for(5, [&](std::int64_t) { leaves.fetch_add(1); }); });
    });
  }
  EXPECT_EQ(leaves.load(), 50 * 125);
}

TEST_F(ExecutorTest, ManyCallersShareThePool) {
  std::atomic<std::int64_t> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 80; ++c) {  // more than there are slots
    callers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        parallel_for(6, [&](std::int64_t i) { parallel_for(3, [&](std::int64_t j) { total.fetch_add(i + j); }); });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 80 * 20 * (3 * 15 + 6 * 3));
}

TEST_F(ExecutorTest, RethrowsATasksExceptionAfterAllHaveEnded) {
  for (std::int64_t thrower : {0, 3, 7}) {
    std::atomic<int> ended{0};
    try {
      parallel_for(8, [&](std::int64_t i) {
        if (i == thrower) throw std::runtime_error("task " + std::to_string(i));
        ended.fetch_add(1);
      });
      FAIL() << "did not throw";
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(e.what(), "task " + std::to_string(thrower));
    }
    EXPECT_EQ(ended.load(), 7);
  }
  EXPECT_THROW(parallel_for(1, [](std::int64_t) { throw std::logic_error("alone"); }), std::logic_error);
}

TEST_F(ExecutorTest, ThreadCountChangesWhileCallersRun) {
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> rounds{0};
  std::thread caller([&] {
    while (!stop) {
      std::atomic<int> n{0};
      parallel_for(9, [&](std::int64_t) { n.fetch_add(1); });
      ASSERT_EQ(n.load(), 9);
      rounds.fetch_add(1);
    }
  });
  for (int i = 0; i < 100; ++i) {
    set_num_threads(1 + i % 6);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  stop = true;
  caller.join();
  EXPECT_GT(rounds.load(), 0);
}

TEST_F(ExecutorTest, WakesParkedWorkers) {
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // all workers sleep by now
    std::atomic<int> n{0};
    parallel_for(16, [&](std::int64_t) { n.fetch_add(1); });
    EXPECT_EQ(n.load(), 16);
  }
}

TEST_F(ExecutorTest, ThreadsThatWaitDoAsTheyAreTold) {
  static std::atomic<int> calls, strangers;
  calls = strangers = 0;
  const WhileWaiting before = while_waiting([](int thread, int threads) {
    calls.fetch_add(1);
    if (thread < 0 || thread >= threads || threads != 4) strangers.fetch_add(1);
  });
  for (int round = 0; round < 1000 && calls.load() == 0; ++round) {
    parallel_for(4, [](std::int64_t) { std::this_thread::sleep_for(std::chrono::microseconds(50)); });
  }
  while_waiting(before);
  EXPECT_GT(calls.load(), 0);
  EXPECT_EQ(strangers.load(), 0);
}

TEST_F(ExecutorTest, HostsPoolIsUsedAndSeesNoException) {
  int calls = 0;
  set_parallel_for(
      [&](std::int64_t count, const std::function<void(std::int64_t)>& task) {
        ++calls;
        for (std::int64_t i = count; i-- > 0;) EXPECT_NO_THROW(task(i));
      },
      3);
  EXPECT_EQ(num_threads(), 3);
  std::vector<std::int64_t> order;
  parallel_for(3, [&](std::int64_t i) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<std::int64_t>{2, 1, 0}));
  EXPECT_THROW(parallel_for(3, [](std::int64_t) { throw std::logic_error("x"); }), std::logic_error);
  EXPECT_EQ(calls, 2);
  set_parallel_for({}, 0);
  EXPECT_EQ(num_threads(), 4);
}

TEST_F(ExecutorTest, RefusesFewerThanOneThread) {
  EXPECT_THROW(set_num_threads(0), Error);
  EXPECT_THROW(set_parallel_for([](std::int64_t, const std::function<void(std::int64_t)>&) {}, 0), Error);
}

TEST_F(ExecutorTest, RangesCoverTheWholeAtMultiples) {
  for (std::int64_t total : {1, 63, 64, 65, 1000, 4097}) {
    for (std::int64_t grain : {1, 100}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(total));
      parallel_ranges(total, grain, 16, [&](std::int64_t begin, std::int64_t end) {
        EXPECT_EQ(begin % 16, 0);
        EXPECT_LT(begin, end);
        for (std::int64_t i = begin; i < end; ++i) seen[static_cast<std::size_t>(i)].fetch_add(1);
      });
      for (auto& n : seen) ASSERT_EQ(n.load(), 1);
    }
  }
}

}  // namespace
}  // namespace nibble::detail
