#pragma once

#include <functional>
#include <string>
#include <vector>

#include "adapters/cli/command.h"
#include "adapters/files/folder_write.h"

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
  std::vector<std::string> write_files(const files::Checkpoint& checkpoint, files::WriteOptions options) const;

  std::string model_, out_, dtype_;
  bool force_ = false;
};

}  // namespace nibble::cli
