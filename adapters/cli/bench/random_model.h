#pragma once

#include <cstdint>
#include <string>

#include "adapters/llm/decoder.h"

namespace nibble::cli {

/// The shapes that random_model knows, with commas between.
std::string shape_names();

struct RandomModel {
  llm::DecoderModel model;
  std::uint64_t idle_bytes = 0;  ///< of weights that a step does not read, but for a row: an embedding that is no head
};
/// A model of a known shape with random weights, stored in that format from the start, so that the whole never stands
/// in memory dense. Throws Error(invalid_argument) for an unknown shape and what random_weights throws.
RandomModel random_model(const std::string& shape, const std::string& format, DType dtype);

}  // namespace nibble::cli
