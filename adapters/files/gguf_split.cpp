#include "adapters/files/gguf_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "adapters/files/file_error.h"
#include "adapters/files/gguf.h"

namespace nibble {
inline namespace v0 {
namespace files {

namespace fs = std::filesystem;

std::string gguf_split::end_of_name(std::int64_t no, std::int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", no + 1, count);
}

namespace {

/// What the names of all parts begin with, given that of one.
std::string stem_of_parts(const fs::path& part, std::int64_t no, std::int64_t count) {
  std::string name = part.filename().string();
  const std::string end = gguf_split::end_of_name(no, count);
  if (!name.ends_with(end))
    bad_file(part, gguf_split::kNo,
             fmt::format("is {} of {}, but the file's name does not end with {}", no, count, end));
  name.resize(name.size() - end.size());
  return name;
}

}  // namespace

struct GgufFile::Split {
  std::int64_t no = 0, count = 0;
  std::optional<std::int64_t> tensors;
};

GgufFile::Split GgufFile::split() const {
  // 0 is what gguf-split leaves in what it merges.
  const Split split{integer(gguf_split::kNo).value_or(0), integer(gguf_split::kCount).value_or(0),
                    integer(gguf_split::kTensors)};
  if (split.count < 0 || split.count > UINT16_MAX)
    bad_file(path(), gguf_split::kCount, fmt::format("{} is no count of files", split.count));
  if (split.count > 1 && (split.no < 0 || split.no >= split.count))
    bad_file(path(), gguf_split::kNo,
             fmt::format("{} is not below {} ({})", split.no, gguf_split::kCount, split.count));
  return split;
}

void GgufFile::join_parts() {
  const Split own = split();
  if (own.count <= 1) return;
  const fs::path folder = path().parent_path();
  const std::string stem = stem_of_parts(path(), own.no, own.count);
  GgufFile whole;
  for (std::int64_t no = 0; no < own.count; ++no) {
    const fs::path file = folder / (stem + gguf_split::end_of_name(no, own.count));
    if (!fs::exists(file))
      bad_file(file, "", fmt::format("is missing: the model is in {} files ({})", own.count, gguf_split::kCount));
    GgufFile part = read_alone(file);
    const Split found = part.split();
    if (found.count != own.count || found.no != no)
      bad_file(file, gguf_split::kNo, fmt::format("is {} of {}, not {} of {}", found.no, found.count, no, own.count));
    if (found.tensors != own.tensors)
      bad_file(file, gguf_split::kTensors, fmt::format("is not what {} says", shown(path().filename().string())));
    for (GgufTensor& tensor : part.tensors_) {
      tensor.file = whole.files_.size();
      whole.tensors_.push_back(tensor);
    }
    if (no == 0) {
      whole.version_ = part.version_;
      whole.values_ = std::move(part.values_);
    }
    whole.files_.push_back(part.files_.front());
  }
  whole.require_names_once();
  std::ranges::sort(whole.tensors_, [](const GgufTensor& a, const GgufTensor& b) {
    return std::tie(a.file, a.begin) < std::tie(b.file, b.begin);
  });
  const auto count = static_cast<std::int64_t>(whole.tensors_.size());
  if (own.tensors && *own.tensors != count)
    bad_file(path(), gguf_split::kTensors,
             fmt::format("is {}, but the {} files have {}", *own.tensors, own.count, count));
  *this = std::move(whole);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
