#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/files/gguf_write.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// How much of a model one file may hold, as llama.cpp's gguf-split counts it: tensors with what pads them, without
/// metadata. A tensor that is larger has a file of its own. 0: any number.
struct GgufLimits {
  std::uint64_t bytes = 0;
  std::size_t tensors = 0;
};

/// What write_model_gguf writes into: one file, or several as gguf-split names them where limits ask for that. They
/// appear under their names when all are complete; on failure none does, and what had the names before stays.
class GgufParts {
 public:
  /// Where one file suffices it is `out`; else they are named after it. Throws Error(io_error) where a file of such a
  /// name is there and is not a .gguf file, or `force` does not say that it may be replaced.
  GgufParts(const std::filesystem::path& out, const GgufPairs& metadata, std::span<const GgufDeclaration> tensors,
            const GgufLimits& limits, bool force);
  void append(std::string_view name, const Tensor& elements);
  void finish();
  const std::vector<std::filesystem::path>& paths() const { return paths_; }

 private:
  std::vector<std::filesystem::path> paths_;
  std::deque<GgufWriter> writers_;  // one for each path
  std::map<std::string, std::size_t, std::less<>> part_of_;
};

}  // namespace files
}  // namespace v0
}  // namespace nibble
