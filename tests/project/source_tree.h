#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

/// Reads the repository as a reader would: the tests of this folder hold the tree itself to the design.
namespace nibble_project {

struct SourceFile {
  std::string path;  // relative to the root, with forward slashes
  std::string text;

  std::vector<std::string> lines() const {
    std::vector<std::string> result;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) result.push_back(line);
    return result;
  }
  bool is_cpp() const { return path.ends_with(".cpp") || path.ends_with(".h") || path.ends_with(".inl"); }
  bool is_in(const std::string& folder) const { return path.starts_with(folder + "/"); }
  /// Part of a library, as opposed to the program, the tests and the benchmarks.
  bool is_library() const { return is_cpp() && !is_in("tests") && !is_in("bench") && !is_in("adapters/cli"); }
};

inline const std::filesystem::path& root() {
  static const std::filesystem::path path = NIBBLE_SOURCE_DIR;
  return path;
}

/// Every text file of our own: not what is built, not git's, not the bytes of goldens and models.
inline const std::vector<SourceFile>& source_files() {
  static const std::vector<SourceFile> files = [] {
    namespace fs = std::filesystem;
    const auto is_text = [](const fs::path& path) {
      for (const char* ending :
           {".cpp", ".h", ".inl", ".py", ".sh", ".txt", ".md", ".cmake", ".in", ".comp", ".glsl"}) {
        if (path.extension() == ending) return true;
      }
      return path.filename() == "Makefile" || path.filename() == "run" || path.filename() == "CMakePresets.json";
    };
    std::vector<SourceFile> found;
    for (auto it = fs::recursive_directory_iterator(root()); it != fs::recursive_directory_iterator(); ++it) {
      const std::string name = it->path().filename().string();
      if (it->is_directory() && (name == "build" || name == ".git" || name == "__pycache__")) {
        it.disable_recursion_pending();
      } else if (it->is_regular_file() && is_text(it->path())) {
        std::ostringstream text;
        text << std::ifstream(it->path(), std::ios::binary).rdbuf();
        found.push_back({fs::relative(it->path(), root()).generic_string(), text.str()});
      }
    }
    return found;
  }();
  return files;
}

}  // namespace nibble_project
