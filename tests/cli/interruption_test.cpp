// A program that is told to end while it writes takes what it has half written with it.
#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/cli/program.h"

namespace nibble::testing {
namespace {

/// A folder of `count` matrices of zeros that take no room on a disk and a while to pack.
void write_sparse_model(const fs::path& folder, int count) {
  constexpr std::int64_t kRows = 1024, kColumns = 2048, kBytes = 2 * kRows * kColumns;
  Json header = Json::object();
  for (int i = 0; i < count; ++i) {
    header[std::to_string(i) + ".weight"] = {
        {"dtype", "BF16"}, {"shape", {kRows, kColumns}}, {"data_offsets", {i * kBytes, (i + 1) * kBytes}}};
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  fs::create_directory(folder);
  write_file(folder / "model.safetensors", std::string(reinterpret_cast<const char*>(&length), 8) + text);
  fs::resize_file(folder / "model.safetensors", 8 + length + static_cast<std::uint64_t>(count * kBytes));
  write_file(folder / "config.json", R"({"model_type":"something"})");
}

pid_t start_quantize(const fs::path& model, const fs::path& out) {
  const pid_t child = fork();
  if (child != 0) return child;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
  dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
  execl(NIBBLE_PROGRAM, NIBBLE_PROGRAM, "quantize", model.c_str(), out.c_str(), static_cast<char*>(nullptr));
  _exit(127);
}

std::ptrdiff_t entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

TEST(Interruption, LeavesNothingHalfWritten) {
  const TemporaryFolder scratch;
  write_sparse_model(scratch / "model", 96);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    bool interrupted = false;
    for (int attempt = 0; attempt < 5 && !interrupted; ++attempt) {  // it may be done before the signal comes
      const pid_t child = start_quantize(scratch / "model", scratch / "out");
      int status = 0;
      while (entries(scratch / "") < 2 && waitpid(child, &status, WNOHANG) == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      kill(child, signal);
      waitpid(child, &status, 0);
      interrupted = WIFSIGNALED(status);
      if (interrupted) {
        EXPECT_EQ(WTERMSIG(status), signal);
        EXPECT_EQ(entries(scratch / ""), 1) << "something was left beside the model";
      }
      fs::remove_all(scratch / "out");
    }
    EXPECT_TRUE(interrupted) << signal;
  }
}

TEST(Interruption, WhatAKilledProgramLeftGoesWithTheNextRun) {
  const TemporaryFolder scratch;
  write_sparse_model(scratch / "model", 96);
  bool killed = false;
  for (int attempt = 0; attempt < 5 && !killed; ++attempt) {
    const pid_t child = start_quantize(scratch / "model", scratch / "out");
    int status = 0;
    while (entries(scratch / "") < 2 && waitpid(child, &status, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    killed = WIFSIGNALED(status) && !fs::exists(scratch / "out");
    if (!killed) fs::remove_all(scratch / "out");
  }
  ASSERT_TRUE(killed);
  EXPECT_EQ(entries(scratch / ""), 2) << "nothing was left to be removed";

  write_sparse_model(scratch / "small", 1);
  EXPECT_EQ(nibble({"quantize", scratch / "small", scratch / "out"}).status, 0);
  EXPECT_EQ(entries(scratch / ""), 3) << "beside model, small and out";
}

}  // namespace
}  // namespace nibble::testing
