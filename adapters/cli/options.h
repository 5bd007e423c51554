#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "adapters/cli/arguments.h"
#include "adapters/files/config.h"
#include "adapters/llm/sampling.h"
#include "nibble/options.h"

namespace nibble::cli {

/// The options of every command that computes: where, with how many threads, how exactly.
class ComputeOptions {
 public:
  void declare(Arguments& arguments);
  /// Puts them in force. Throws Error(invalid_argument | unsupported).
  void apply() const;

  DType dtype() const;
  /// What --layers says, if anything.
  const std::string& layers() const { return layers_; }
  /// What --kv-dtype names: a dtype, a packed format, or nothing.
  const std::string& kv_storage() const { return kv_storage_; }

 private:
  std::string device_, layers_, precision_ = "standard", dtype_ = "f32", kv_storage_;
  std::optional<std::int64_t> threads_;
};

/// What an option of the command line says, else generation_config.json, else greedy.
class SamplingFlags {
 public:
  void declare(Arguments& arguments);
  llm::SamplingOptions resolve(const files::GenerationConfig& defaults) const;

 private:
  std::optional<double> temperature_, top_p_, min_p_, repetition_penalty_;
  std::optional<std::int64_t> top_k_;
  std::int64_t seed_ = 0;
};

/// Throws Error(invalid_argument).
[[noreturn]] void refuse(const std::string& text);
/// Refuses a smaller value in the option's name.
void require_at_least(std::int64_t least, const char* option, std::int64_t value);
/// What --threads says, if anything; below 1 is refused.
void apply_threads(std::optional<std::int64_t> threads);
/// exact, standard or fast; anything else is refused in --precision's name.
Precision parse_precision(const std::string& text);
/// A dtype, a packed format or nothing; anything else is refused in --kv-dtype's name.
void check_kv_storage(const std::string& text);
/// f32, f16 or bf16; anything else is refused in the option's name.
DType parse_float_dtype(const char* option, const std::string& text);
/// The bytes of a file. Throws Error(io_error).
std::string read_text(const std::string& path);
/// The most memory that the process has held so far.
std::uint64_t peak_rss_bytes();

}  // namespace nibble::cli
