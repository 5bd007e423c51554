#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "adapters/cli/arguments.h"
#include "adapters/cli/options.h"
#include "adapters/files/checkpoint.h"
#include "adapters/llm/decoder.h"
#include "adapters/llm/tokenizer/tokenizer.h"

namespace nibble::cli {

/// A model that is ready to run, and what it was read from.
struct LoadedModel {
  LoadedModel(files::Checkpoint from, llm::DecoderModel made) : checkpoint(std::move(from)), model(std::move(made)) {}

  files::Checkpoint checkpoint;
  llm::DecoderModel model;
  /// Made at the first call.
  const llm::Tokenizer& tokenizer() const;

 private:
  mutable std::unique_ptr<llm::Tokenizer> tokenizer_;
};

/// MODEL, and what happens to it while it is loaded.
class ModelOptions {
 public:
  void declare(Arguments& arguments);
  const std::string& path() const { return path_; }
  LoadedModel load(const ComputeOptions& compute) const;
  /// Another model, loaded as it is.
  static LoadedModel load_plain(const std::string& path, DType dtype);

 private:
  std::string path_, pack_;
  std::vector<std::string> adapters_;
};

/// The ids of a text as the model expects it: BOS in front where the tokenizer asks for it.
std::vector<std::int32_t> encode_text(const llm::Tokenizer& tokenizer, const std::string& text);

}  // namespace nibble::cli
