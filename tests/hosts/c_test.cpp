// The C interface: hosts written in C, old ones, and several at once.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "adapters/hosts/op_table.h"
#include "nibble/nibble.h"
#include "tests/hosts/c_hosts.h"

namespace {

const nibble_api* api() { return nibble_get_api(NIBBLE_API_VERSION); }

std::uint64_t live_bytes() {
  nibble_stats stats{};
  stats.struct_size = sizeof stats;
  api()->stats(nullptr, &stats);
  return stats.bytes_allocated;
}

/// What the last failed call said.
class Failure {
 public:
  ~Failure() { api()->error_release(error_); }
  nibble_error** out() { return &error_; }
  std::string text() const { return api()->error_message(error_); }

 private:
  nibble_error* error_ = nullptr;
};

TEST(CHost, InPlainC99) {
  const std::uint64_t before = live_bytes();
  for (int round = 0; round < 3; ++round) EXPECT_STREQ(c99_host(api()), nullptr);
  EXPECT_EQ(live_bytes(), before) << "something was not released";
}

TEST(CHost, OfAnOldHeader) {
  const std::uint64_t before = live_bytes();
  EXPECT_STREQ(old_host(api()), nullptr);
  EXPECT_EQ(live_bytes(), before);
}

TEST(CHost, AskingForAnotherVersionGetsNothing) {
  EXPECT_EQ(nibble_get_api(0), nullptr);
  EXPECT_EQ(nibble_get_api(NIBBLE_API_VERSION + 1), nullptr);
}

/// The name that a line of the header declares: "nibble_unary exp;" or "nibble_status (*where)(…"; empty if none.
std::string declared(const std::string& line) {
  if (!line.starts_with("  nibble_")) return {};  // a comment, or the rest of a long line
  const std::size_t star = line.find("(*");
  if (star != std::string::npos) return line.substr(star + 2, line.find(')', star) - star - 2);
  const std::size_t end = line.find(';'), begin = line.rfind(' ', end);
  return end == std::string::npos ? std::string() : line.substr(begin + 1, end - begin - 1);
}

TEST(CHost, TheHeaderNamesTheTablesOpsInItsOrder) {
  std::ifstream header(std::string(NIBBLE_SOURCE_DIR) + "/include/nibble/nibble.h");
  std::string line;
  while (std::getline(header, line) && line != "typedef struct nibble_ops {") continue;
  std::vector<std::string> members, names;
  while (std::getline(header, line) && line != "} nibble_ops;") {
    if (const std::string name = declared(line); !name.empty()) members.push_back(name);
  }
  std::apply([&](const auto&... row) { (names.emplace_back(row.name), ...); }, nibble::hosts::kOps);
  EXPECT_EQ(members, names);
}

/// A host with everything of its own.
struct Host {
  std::atomic<int> live{0}, allocations{0}, tasks{0}, warnings{0}, errors{0};
  nibble_context* context = nullptr;

  Host() {
    nibble_executor executor{sizeof executor, this, 3, [](void* user, std::int64_t count, auto task, void* data) {
                               for (std::int64_t i = count; i-- > 0;) {
                                 ++static_cast<Host*>(user)->tasks;
                                 task(data, i);
                               }
                             }};
    nibble_allocator allocator{sizeof allocator, this,
                               [](void* user, std::size_t bytes, std::size_t alignment) {
                                 auto* host = static_cast<Host*>(user);
                                 ++host->live, ++host->allocations;
                                 return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
                               },
                               [](void* user, void* data, std::size_t) {
                                 --static_cast<Host*>(user)->live;
                                 std::free(data);
                               }};
    nibble_logger logger{sizeof logger, this, [](void* user, std::int32_t level, const char*) {
                           auto* host = static_cast<Host*>(user);
                           ++(level == NIBBLE_LOG_ERROR ? host->errors : host->warnings);
                         }};
    nibble_context_options options{};
    options.struct_size = sizeof options;
    options.executor = &executor;
    options.allocator = &allocator;
    options.logger = &logger;
    EXPECT_EQ(api()->context_create(&options, &context, nullptr), NIBBLE_OK);
  }
  ~Host() { api()->context_release(context); }

  void compute() {
    const nibble_api& nb = *api();
    const std::int64_t sizes[] = {256, 512};
    nibble_tensor *w = nullptr, *packed = nullptr, *turned = nullptr, *y = nullptr, *bad = nullptr;
    EXPECT_EQ(nb.ops->random_normal(context, {sizes, 2}, 1, 0, 1, NIBBLE_F32, &w, nullptr), NIBBLE_OK);
    EXPECT_EQ(nb.ops->quantize(context, w, nullptr, &packed, nullptr), NIBBLE_OK);
    EXPECT_EQ(nb.ops->transpose(context, packed, nibble_no_dims, &turned, nullptr), NIBBLE_OK);
    EXPECT_EQ(nb.ops->matmul(context, w, turned, &y, nullptr), NIBBLE_OK);
    EXPECT_EQ(nb.ops->matmul(context, w, w, &bad, nullptr), NIBBLE_SHAPE_MISMATCH);
    EXPECT_EQ(nb.ops->exp(context, packed, &bad, nullptr), NIBBLE_OK);
    for (nibble_tensor* t : {w, packed, turned, y, bad}) nb.tensor_release(context, t);
  }
};

TEST(CHost, TwoInOneProcessHaveTheirOwnMemoryThreadsAndLogs) {
  Host one, two;
  std::thread first([&] { one.compute(); }), second([&] { two.compute(); });
  first.join();
  second.join();
  for (const Host* host : {&one, &two}) {
    EXPECT_GT(host->allocations, 3);
    EXPECT_EQ(host->live, 0);
    EXPECT_GT(host->tasks, 0);
    EXPECT_EQ(host->errors, 1);
    EXPECT_GE(host->warnings, 1) << "exp decoded a packed tensor";
  }
}

TEST(CHost, WhatIsWrongWithAContextIsSaid) {
  nibble_context* context = nullptr;
  nibble_context_options options{};
  options.struct_size = sizeof options;
  options.precision = 7;
  Failure precision, device, threads;
  EXPECT_EQ(api()->context_create(&options, &context, precision.out()), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(precision.text(), "[nibble_context_options] precision 7: there is no such value");
  options.precision = NIBBLE_FAST;
  options.device = "toaster:0";
  EXPECT_EQ(api()->context_create(&options, &context, device.out()), NIBBLE_INVALID_ARGUMENT);
  options.device = nullptr;
  nibble_executor executor{sizeof executor, nullptr, 0, [](void*, std::int64_t, auto, void*) {}};
  options.executor = &executor;
  EXPECT_EQ(api()->context_create(&options, &context, threads.out()), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(context, nullptr);
}

TEST(CHost, FieldsFromTheFutureAreRefusedUnlessZero) {
  struct {
    nibble_quantize_params known;
    std::int64_t later;
  } params{{sizeof params, "q8_0", 0, 0}, 0};
  const std::int64_t sizes[] = {2, 64};
  nibble_tensor *x = nullptr, *packed = nullptr;
  ASSERT_EQ(api()->ops->ones(nullptr, {sizes, 2}, NIBBLE_F32, &x, nullptr), NIBBLE_OK);
  EXPECT_EQ(api()->ops->quantize(nullptr, x, &params.known, &packed, nullptr), NIBBLE_OK);
  api()->tensor_release(nullptr, packed);
  params.later = 1;
  Failure failure;
  EXPECT_EQ(api()->ops->quantize(nullptr, x, &params.known, &packed, failure.out()), NIBBLE_UNSUPPORTED);
  EXPECT_NE(failure.text().find("does not know"), std::string::npos) << failure.text();
  params.known.struct_size = 0;
  EXPECT_EQ(api()->ops->quantize(nullptr, x, &params.known, &packed, nullptr), NIBBLE_INVALID_ARGUMENT);
  api()->tensor_release(nullptr, x);
}

TEST(CHost, AnAllocatorWithoutMemoryIsAnErrorOfTheCall) {
  nibble_allocator allocator{sizeof allocator, nullptr,
                             [](void*, std::size_t, std::size_t) -> void* { return nullptr; },
                             [](void*, void*, std::size_t) {}};
  nibble_context_options options{};
  options.struct_size = sizeof options;
  options.allocator = &allocator;
  nibble_context* context = nullptr;
  ASSERT_EQ(api()->context_create(&options, &context, nullptr), NIBBLE_OK);
  nibble_tensor* x = nullptr;
  const std::int64_t size = 8;
  Failure failure;
  EXPECT_EQ(api()->ops->zeros(context, {&size, 1}, NIBBLE_F32, &x, failure.out()), NIBBLE_OUT_OF_MEMORY);
  EXPECT_EQ(x, nullptr);
  api()->context_release(context);
}

TEST(CHost, OpsWithSeveralResults) {
  const nibble_ops& ops = *api()->ops;
  nibble_tensor *x = nullptr, *parts[3] = {}, *best[2] = {};
  ASSERT_EQ(
      ops.arange(nullptr, nibble_of_integer(0), nibble_of_integer(6), nibble_of_integer(1), NIBBLE_F32, &x, nullptr),
      NIBBLE_OK);
  ASSERT_EQ(ops.split(nullptr, x, 3, 0, parts, nullptr), NIBBLE_OK);
  float pair[2] = {};
  EXPECT_EQ(api()->tensor_read(nullptr, parts[2], pair, sizeof pair, nullptr), NIBBLE_OK);
  EXPECT_EQ(pair[0], 4.0f);
  EXPECT_EQ(api()->tensor_read(nullptr, parts[2], pair, 4, nullptr), NIBBLE_INVALID_ARGUMENT);
  ASSERT_EQ(ops.topk(nullptr, x, 2, 0, best, nullptr), NIBBLE_OK);
  std::int32_t indices[2] = {};
  EXPECT_EQ(api()->tensor_read(nullptr, best[1], indices, sizeof indices, nullptr), NIBBLE_OK);
  EXPECT_EQ(indices[0], 5);
  for (nibble_tensor* t : {x, parts[0], parts[1], parts[2], best[0], best[1]}) api()->tensor_release(nullptr, t);
}

TEST(CHost, UpdateSliceWritesInPlaceAndUsesItsHandleUp) {
  const nibble_ops& ops = *api()->ops;
  const std::int64_t all[] = {4, 2}, one[] = {1, 2};
  nibble_tensor *cache = nullptr, *row = nullptr, *next = nullptr;
  ASSERT_EQ(ops.zeros(nullptr, {all, 2}, NIBBLE_F32, &cache, nullptr), NIBBLE_OK);
  ASSERT_EQ(ops.ones(nullptr, {one, 2}, NIBBLE_F32, &row, nullptr), NIBBLE_OK);
  const void *before = nullptr, *after = nullptr;
  ASSERT_EQ(api()->tensor_data(nullptr, cache, &before, nullptr), NIBBLE_OK);
  ASSERT_EQ(ops.update_slice(nullptr, cache, row, nibble_of_integer(2), 0, &next, nullptr), NIBBLE_OK);
  ASSERT_EQ(api()->tensor_data(nullptr, next, &after, nullptr), NIBBLE_OK);
  EXPECT_EQ(before, after);
  EXPECT_EQ(api()->tensor_data(nullptr, cache, &before, nullptr), NIBBLE_INVALID_ARGUMENT);
  float values[8] = {};
  ASSERT_EQ(api()->tensor_read(nullptr, next, values, sizeof values, nullptr), NIBBLE_OK);
  EXPECT_EQ(values[4] + values[5] + values[0], 2.0f);
  for (nibble_tensor* t : {cache, row, next}) api()->tensor_release(nullptr, t);
}

TEST(CHost, StridedBuffersAreViewsOfTheHosts) {
  const float data[] = {0, 1, 2, 3, 4, 5};
  const std::int64_t sizes[] = {3, 2}, strides[] = {-1, 3}, too_many[] = {1, 2, 3};
  nibble_buffer buffer{};
  buffer.struct_size = sizeof buffer;
  buffer.data = data + 2;
  buffer.shape = {sizes, 2};
  buffer.strides = {strides, 2};
  nibble_tensor *x = nullptr, *bad = nullptr;
  ASSERT_EQ(api()->tensor_borrow(nullptr, &buffer, &x, nullptr), NIBBLE_OK);
  float values[6] = {};
  ASSERT_EQ(api()->tensor_read(nullptr, x, values, sizeof values, nullptr), NIBBLE_OK);
  EXPECT_EQ(std::vector<float>(values, values + 6), (std::vector<float>{2, 5, 1, 4, 0, 3}));
  const void* address = nullptr;
  ASSERT_EQ(api()->tensor_data(nullptr, x, &address, nullptr), NIBBLE_OK);
  EXPECT_EQ(address, data + 2);
  int released = 0;
  buffer.user = &released;
  buffer.release = [](void* user) { ++*static_cast<int*>(user); };
  buffer.strides = {too_many, 3};
  EXPECT_EQ(api()->tensor_borrow(nullptr, &buffer, &bad, nullptr), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(released, 0) << "the host keeps what could not be adopted";
  api()->tensor_release(nullptr, x);
}

TEST(CHost, VulkanDevicesThatAreNoneAreRefused) {
  nibble_vulkan_handles handles{};
  handles.struct_size = sizeof handles;
  char name[16] = "untouched";
  Failure missing;
  EXPECT_NE(api()->vulkan_adopt(nullptr, &handles, name, missing.out()), NIBBLE_OK);
  EXPECT_STREQ(name, "untouched");
  EXPECT_FALSE(missing.text().empty());
  int timeline = 0;
  EXPECT_NE(api()->vulkan_wait(nullptr, "vulkan:99", &timeline, 1, nullptr), NIBBLE_OK);
  EXPECT_NE(api()->vulkan_signal(nullptr, "cpu", nullptr, 1, nullptr), NIBBLE_OK);
  EXPECT_NE(api()->vulkan_release(nullptr, "cpu", nullptr), NIBBLE_OK);

  nibble_tensor* x = nullptr;
  const std::int64_t size = 4;
  nibble_vulkan_memory memory{};
  memory.struct_size = sizeof memory;
  ASSERT_EQ(api()->ops->ones(nullptr, {&size, 1}, NIBBLE_F32, &x, nullptr), NIBBLE_OK);
  EXPECT_EQ(api()->vulkan_buffer(nullptr, x, &memory, nullptr), NIBBLE_UNSUPPORTED);
  api()->tensor_release(nullptr, x);
}

}  // namespace
