#pragma once

#include <filesystem>

namespace nibble {
inline namespace v0 {
namespace files {

/// The folder that holds `path`; "." for a bare name.
inline std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// Where a model's configuration and tokenizer are: itself, or beside its file.
inline std::filesystem::path folder_of_model(const std::filesystem::path& model) {
  return std::filesystem::is_directory(model) ? model : folder_of(model);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
