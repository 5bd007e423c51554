#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>

#include "nibble/error.h"
#include "nibble/tensor.h"
#include "tests/support/test_files.h"

namespace nibble_test {

using namespace nibble::tests;

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
