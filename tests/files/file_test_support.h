#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "nibble/error.h"
#include "nibble/tensor.h"

namespace nibble_test {

namespace fs = std::filesystem;

/// A folder of this test's own, gone when it ends.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "nibble_files.XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(std::string_view name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline fs::path source_dir() { return NIBBLE_SOURCE_DIR; }
inline fs::path models() { return source_dir() / "tests" / "models"; }
inline fs::path goldens() { return source_dir() / "tests" / "goldens"; }
inline fs::path shared_data() { return source_dir() / ".." / "shared" / "data"; }

inline std::string read_all(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_all(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The text of the Error that `action` throws; a failure where it throws none, or another exception, or more than one
/// line.
inline std::string error_text(const std::function<void()>& action, nibble::ErrorCode* code = nullptr) {
  try {
    action();
  } catch (const nibble::Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    if (code) *code = error.code();
    return text;
  } catch (const std::exception& other) {
    ADD_FAILURE() << "not a nibble::Error: " << other.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline std::string bytes_of(const nibble::Tensor& t) {
  std::string out(t.nbytes(), '\0');
  std::memcpy(out.data(), t.raw_data(), out.size());
  return out;
}

}  // namespace nibble_test
