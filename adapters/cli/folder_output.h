#pragma once

#include <functional>
#include <string>

#include "adapters/cli/command.h"
#include "adapters/files/folder_write.h"

namespace nibble::cli {

/// What quantize and convert have in common: MODEL in, a folder out.
class FolderOutput {
 public:
  void declare(Arguments& arguments);
  /// Writes the folder as `set` wants it; gives what is in it, and under "warnings" what got lost on the way.
  Json write(const std::function<void(files::FolderOptions&)>& set) const;
  static void print(const Json& result);

 private:
  std::string model_, out_, dtype_;
  bool force_ = false;
};

}  // namespace nibble::cli
