#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/llm/decoder.h"
#include "nibble/lora.h"
#include "nibble/options.h"

namespace nibble {
inline namespace v0 {
namespace llm {

/// One adapter, and how much of it: its own scale is multiplied by `multiplier`.
struct LoadedAdapter {
  LoraAdapter adapter;
  double multiplier = 1;
  std::string name = "the adapter";  ///< what errors call it
};

struct LoadOptions {
  DType dtype = DType::f32;  ///< of activations, norms and biases; large weights stay as they are stored
  Device device = nibble::options().device;  ///< where the weights go, and with them the computation
  /// Where each layer goes, if not there: the embedding lies with the first, norm and head with the last.
  std::vector<Device> layer_devices;
  std::vector<LoadedAdapter> adapters;
  /// Told after each layer how many of how many tensors are there.
  std::function<void(std::int64_t done, std::int64_t total)> progress;
};

/// Builds a decoder model from a checkpoint and joins the adapters to its linear layers.
/// Throws Error(invalid_file) where a tensor is missing or has another shape than the configuration says,
/// Error(unsupported) where the model is not a decoder known here, Error(invalid_argument) where an adapter names a
/// module that the model does not have.
DecoderModel load_decoder(const files::Checkpoint& checkpoint, const LoadOptions& options = {});

}  // namespace llm
}  // namespace v0
}  // namespace nibble
