#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "adapters/cli/command.h"
#include "adapters/files/folder_write.h"
#include "adapters/files/gguf_parts.h"

namespace nibble::cli {

/// What quantize and convert have in common: MODEL in, a folder or a .gguf file out.
class ModelOutput {
 public:
  void declare(Arguments& arguments);
  /// "gguf", or the kind of folder that is to be written; convert's --to. OUT's name says gguf by itself.
  std::string to;
  /// Writes as `set` wants it; gives what is in the files, and under "warnings" what got lost on the way.
  Json write(const std::function<void(files::WriteOptions&)>& set) const;
  static void print(const Json& result);

 private:
  /// What was written: what opens it, into how many .gguf files, and what got lost on the way.
  struct Written {
    std::string path;
    std::size_t gguf_files = 0;
    std::vector<std::string> losses;
  };
  Written write_files(const files::Checkpoint& checkpoint, files::WriteOptions options) const;
  files::GgufLimits limits() const;

  std::string model_, out_, dtype_, split_max_size_;
  std::int64_t split_max_tensors_ = 0;
  bool force_ = false;
};

}  // namespace nibble::cli
