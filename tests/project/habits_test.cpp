// Habits of the house that no compiler checks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "tests/project/source_tree.h"

namespace nibble_project {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

constexpr std::size_t kLongFile = 500;

/// C++ without its comments and string literals, so that a word in prose is no finding.
std::string code_only(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "//") == 0) {
      i = std::min(text.find('\n', i), text.size());
    } else if (text.compare(i, 2, "/*") == 0) {
      i = std::min(text.find("*/", i), text.size()) + 1;
    } else if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\';
    }
    if (i < text.size()) result += text[i];
  }
  return result;
}

/// Whether `name` stands in the code as a whole word that is called.
bool calls(const std::string& code, const std::string& name) {
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (std::size_t at = code.find(name); at != std::string::npos; at = code.find(name, at + 1)) {
    const std::size_t after = at + name.size();
    if ((at == 0 || (!is_word(code[at - 1]) && code[at - 1] != '.')) && after < code.size() && code[after] == '(')
      return true;
  }
  return false;
}

std::vector<std::string> forbidden_in_library(const std::string& text) {
  std::vector<std::string> found;
  const std::string code = code_only(text);
  for (const char* function : {"printf", "fprintf", "puts", "fputs", "abort", "exit", "_exit", "terminate", "assert"}) {
    if (calls(code, function)) found.push_back(function);
  }
  for (const char* stream : {"std::cout", "std::cerr", "std::clog"}) {
    if (code.find(stream) != std::string::npos) found.push_back(stream);
  }
  return found;
}

TEST(Habits, TheLibraryNeverPrintsOrEnds) {
  for (const SourceFile& file : source_files()) {
    if (file.is_library()) {
      EXPECT_THAT(forbidden_in_library(file.text), IsEmpty()) << file.path;
    }
  }
  EXPECT_THAT(forbidden_in_library("void f() { std::abort(); }"), Contains("abort"));
  EXPECT_THAT(forbidden_in_library("fprintf(stderr, \"x\");"), Contains("fprintf"));
  EXPECT_THAT(forbidden_in_library("std::cerr << 1;"), Contains("std::cerr"));
  EXPECT_THAT(forbidden_in_library("// exit(1)\nsnprintf(b, n, \"abort()\"); on_exit_(1); /* puts( */"), IsEmpty());
}

TEST(Habits, ModelCodeNeverSaysQuantized) {
  int seen = 0;
  for (const SourceFile& file : source_files()) {
    if (!file.is_in("adapters/llm")) continue;
    ++seen;
    std::string text = file.text;
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    EXPECT_EQ(text.find("quant"), std::string::npos) << file.path;
  }
  EXPECT_GT(seen, 0);
}

/// A path of somebody's machine: it would be wrong everywhere else. System paths that every Debian has are none.
bool names_a_machine(const std::string& line) {
  for (const std::string place : {"home", "work", "root", "Users", "farm", "mnt"}) {
    for (const char before : {' ', '"', '\'', '=', '(', '`'}) {
      if (line.find(before + ("/" + place) + "/") != std::string::npos) return true;
    }
  }
  return false;
}

TEST(Habits, NoPathOfAMachine) {
  for (const SourceFile& file : source_files()) {
    if (file.path == "tests/project/habits_test.cpp") continue;
    for (const std::string& line : file.lines()) EXPECT_FALSE(names_a_machine(line)) << file.path << ": " << line;
  }
  EXPECT_TRUE(names_a_machine("PATH = '/home/me/model'"));
  EXPECT_FALSE(names_a_machine("build/home/x and /usr/local/lib"));
}

TEST(Habits, LongFilesSayWhy) {
  for (const SourceFile& file : source_files()) {
    const bool is_source =
        file.is_cpp() || file.path.ends_with(".py") || file.path.ends_with(".comp") || file.path.ends_with(".glsl");
    if (!is_source || file.text.find("// long because ") != std::string::npos) continue;
    EXPECT_LE(file.lines().size(), kLongFile) << file.path << " (split it, or say \"// long because ...\")";
  }
}

TEST(Habits, FormatsAreNamedOnlyInTheirRoom) {
  // Dispatch and the tensor ask a format's row; one that asks for a format by name would need an edit with each new
  // one.
  for (const SourceFile& file : source_files()) {
    if (!file.is_cpp() ||
        !(file.is_in("dispatch") || file.is_in("quant_tensor/tensor") || file.is_in("adapters/llm"))) {
      continue;
    }
    for (const std::string& line : file.lines()) {
      const std::string code = line.substr(0, line.find("//"));
      for (const char* name : {"\"affine4", "\"affine8", "\"q2_", "\"q3_", "\"q4_", "\"q5_", "\"q6_", "\"q8_", "\"iq",
                               "\"mxfp", "\"nvfp", "\"nf4", "\"fp8"}) {
        EXPECT_EQ(code.find(name), std::string::npos) << file.path << ": " << line;
      }
    }
  }
}

TEST(Habits, OnlyKnownNamesAtTheRoot) {
  const std::set<std::string> known = {"include",           "backend",    "quant_tensor", "dispatch", "shaders",
                                       "adapters",          "tests",      "bench",        "build",    "CMakeLists.txt",
                                       "CMakePresets.json", "Makefile",   "README.md",    "LICENSE",  ".clang-format",
                                       ".clang-tidy",       ".gitignore", ".ci",          ".git",     "pyproject.toml"};
  for (const auto& entry : std::filesystem::directory_iterator(root())) {
    const std::string name = entry.path().filename().string();
    if (name == ".cache" || name == "compile_commands.json") continue;  // editors leave these
    EXPECT_TRUE(known.contains(name)) << name;
  }
}

}  // namespace
}  // namespace nibble_project
