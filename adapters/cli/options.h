#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/cli/arguments.h"
#include "adapters/files/checkpoint.h"
#include "adapters/llm/decoder.h"
#include "adapters/llm/sampling.h"
#include "adapters/llm/tokenizer/tokenizer.h"
#include "nibble/options.h"

namespace nibble::cli {

/// The options of every command that computes: where, with how many threads, how exactly.
class ComputeOptions {
 public:
  void declare(Arguments& arguments);
  /// Puts them in force. Throws Error(invalid_argument | unsupported).
  void apply() const;

  DType dtype() const;
  /// What --kv-dtype names: a dtype, a packed format, or nothing.
  const std::string& kv_storage() const { return kv_storage_; }

 private:
  std::string device_ = "cpu", precision_ = "standard", dtype_ = "f32", kv_storage_;
  int threads_ = 0;
};

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
  LoadedModel load(DType dtype) const;
  /// Another model, loaded as it is.
  static LoadedModel load_plain(const std::string& path, DType dtype);

 private:
  std::string path_, pack_;
  std::vector<std::string> adapters_;
};

/// What an option of the command line says, else generation_config.json, else greedy.
class SamplingFlags {
 public:
  void declare(Arguments& arguments);
  llm::SamplingOptions resolve(const files::GenerationConfig& defaults) const;

 private:
  std::optional<double> temperature_, top_p_, min_p_, repetition_penalty_;
  std::optional<std::int64_t> top_k_;
  std::uint64_t seed_ = 0;
};

/// Throws Error(invalid_argument).
[[noreturn]] void refuse(const std::string& text);
/// exact, standard or fast; anything else is refused in --precision's name.
Precision parse_precision(const std::string& text);
/// A dtype, a packed format or nothing; anything else is refused in --kv-dtype's name.
void check_kv_storage(const std::string& text);
/// f32, f16 or bf16; anything else is refused in the option's name.
DType parse_float_dtype(const char* option, const std::string& text);
/// The ids of a text as the model expects it: BOS in front where the tokenizer asks for it.
std::vector<std::int32_t> encode_text(const llm::Tokenizer& tokenizer, const std::string& text);
/// The bytes of a file. Throws Error(io_error).
std::string read_text(const std::string& path);
/// The most memory that the process has held so far.
std::uint64_t peak_rss_bytes();

}  // namespace nibble::cli
