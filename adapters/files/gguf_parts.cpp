#include "adapters/files/gguf_parts.h"

#include <fmt/format.h>

#include <limits>
#include <system_error>

#include "adapters/files/file_error.h"
#include "adapters/files/gguf_split.h"
#include "adapters/files/mapped_file.h"

namespace nibble {
inline namespace v0 {
namespace files {

namespace fs = std::filesystem;

namespace {

using Declarations = std::span<const GgufDeclaration>;

/// Neighbours stay together; each file has at least one tensor.
std::vector<Declarations> divide(Declarations tensors, const GgufLimits& limits) {
  std::vector<Declarations> parts;
  std::size_t begin = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t own = tensors[i].padded_bytes();
    const bool is_full =
        (limits.bytes > 0 && bytes + own > limits.bytes) || (limits.tensors > 0 && i - begin == limits.tensors);
    if (is_full && i > begin) {
      parts.push_back(tensors.subspan(begin, i - begin));
      begin = i, bytes = 0;
    }
    bytes += own;
  }
  parts.push_back(tensors.subspan(begin));
  return parts;
}

std::vector<fs::path> names_of(const fs::path& out, std::size_t count) {
  if (count == 1) return {out};
  if (count > std::numeric_limits<std::uint16_t>::max())
    refuse(ErrorCode::invalid_argument, out, gguf_split::kCount,
           fmt::format("{} files are more than it counts", count));
  constexpr std::string_view kSuffix = ".gguf";
  std::string stem = out.string();
  if (stem.ends_with(kSuffix)) stem.resize(stem.size() - kSuffix.size());
  std::vector<fs::path> paths;
  for (std::size_t no = 0; no < count; ++no)
    paths.emplace_back(stem + gguf_split::end_of_name(static_cast<std::int64_t>(no), static_cast<std::int64_t>(count)));
  return paths;
}

/// What an earlier run wrote may be replaced where that is asked for, and nothing else.
void require_replaceable(const fs::path& out, bool force) {
  if (!fs::exists(out)) return;
  if (fs::is_directory(out)) refuse(ErrorCode::io_error, out, "", "is a folder");
  if (!MappedFile::open(out)->text().starts_with("GGUF"))
    refuse(ErrorCode::io_error, out, "", "exists already and is not a .gguf file: not replaced");
  if (!force) refuse(ErrorCode::io_error, out, "", "exists already (--force replaces it)");
}

/// A link stays where it is: what it points to goes, as AtomicFile puts the new file there.
void remove_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(fs::weakly_canonical(path, ignored), ignored);
}

}  // namespace

GgufParts::GgufParts(const fs::path& out, const GgufPairs& metadata, Declarations tensors, const GgufLimits& limits,
                     bool force) {
  const std::vector<Declarations> parts = divide(tensors, limits);
  paths_ = names_of(out, parts.size());
  for (const fs::path& path : paths_) require_replaceable(path, force);
  for (std::size_t no = 0; no < parts.size(); ++no) {
    GgufPairs pairs;
    if (no == 0) pairs = metadata;
    if (parts.size() > 1) {
      pairs.short_count(gguf_split::kNo, static_cast<std::uint16_t>(no));
      pairs.short_count(gguf_split::kCount, static_cast<std::uint16_t>(parts.size()));
      pairs.integer(gguf_split::kTensors, static_cast<std::int32_t>(tensors.size()));
    }
    for (const GgufDeclaration& tensor : parts[no]) part_of_.emplace(tensor.name, no);
    writers_.emplace_back(paths_[no], pairs, parts[no]);
  }
}

void GgufParts::append(std::string_view name, const Tensor& elements) {
  const auto part = part_of_.find(name);
  writers_[part == part_of_.end() ? 0 : part->second].append(name, elements);  // which says that it has none such
}

void GgufParts::finish() {
  for (GgufWriter& writer : writers_) writer.complete();
  // Parts of two models never stand beside one another, nor are some left over: a reader names what is missing.
  if (paths_.size() > 1) {
    for (const fs::path& path : paths_) remove_file(path);
  }
  std::size_t there = 0;
  try {
    for (; there < paths_.size(); ++there) writers_[there].finish();
  } catch (...) {
    for (std::size_t no = 0; no < there; ++no) remove_file(paths_[no]);
    throw;
  }
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
