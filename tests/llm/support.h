#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "adapters/llm/generate.h"
#include "adapters/llm/loader.h"
#include "nibble/error.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "tests/support/json_files.h"

/// What the tests of this room share.
namespace nibble::tests {

/// fp32 arithmetic on the weights' exact values: what references in float64 are compared with.
inline Options exact() {
  Options o = options();
  o.precision = Precision::exact;
  return o;
}

inline llm::DecoderModel load_model(const fs::path& path, const llm::LoadOptions& options = {}) {
  return llm::load_decoder(files::Checkpoint::open(path), options);
}

/// The likeliest token each time, `max_tokens` times, end tokens and all.
inline llm::GenerateOptions greedy_for(std::int64_t max_tokens) {
  llm::GenerateOptions greedy;
  greedy.max_tokens = max_tokens;
  return greedy;
}

/// A reference's i64 ids as the i32 that models take.
inline Tensor ids(const Tensor& tokens) { return contiguous(cast(tokens, DType::i32)); }

/// Row b of (B, T) ids.
inline std::vector<std::int32_t> id_row(const Tensor& tokens, std::int64_t row, std::int64_t count = -1) {
  std::vector<std::int32_t> all = select(ids(tokens), 0, row).to_vector<std::int32_t>();
  if (count >= 0) all.resize(static_cast<std::size_t>(count));
  return all;
}

inline double max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = difference;  // a NaN gets through
  }
  return largest;
}

inline double max_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  return max_difference(cast(a, DType::f32).to_vector<float>(), cast(b, DType::f32).to_vector<float>());
}

/// The same weights under another config.json.
inline void copy_with_config(const fs::path& model, const std::string& config, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.path().filename().string().starts_with("model")) fs::copy(entry.path(), to / entry.path().filename());
  }
  fs::copy_file(model / config, to / "config.json");
}

}  // namespace nibble::tests
