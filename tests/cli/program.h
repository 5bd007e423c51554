#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/json_files.h"

/// Runs the built program as a user would, in a pipe.
namespace nibble::testing {

using namespace nibble::tests;

struct Outcome {
  int status = -1;
  std::string out, err;

  Json json() const { return Json::parse(out); }
};

inline std::string quoted(const std::string& argument) {
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// nibble ARGUMENTS < INPUT.
inline Outcome nibble(const std::vector<std::string>& arguments, const std::string& input = "") {
  const TemporaryFolder scratch;
  write_file(scratch / "in", input);
  std::string command = quoted(NIBBLE_PROGRAM);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command += " < " + quoted(scratch / "in") + " > " + quoted(scratch / "out") + " 2> " + quoted(scratch / "err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(scratch / "out"), read_file(scratch / "err")};
}

/// The object that a command prints with --json, which must succeed.
inline Json answer(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.emplace_back("--json");
  const Outcome done = nibble(arguments, input);
  EXPECT_EQ(done.status, 0) << done.out << done.err;
  EXPECT_EQ(done.err, "");
  return done.status == 0 ? done.json() : Json::object();
}

/// A command that must fail: with --json as one object, without as one line on standard error.
inline void expect_failure(std::vector<std::string> arguments, const std::string& code, const std::string& part,
                           const std::string& input = "") {
  const Outcome text = nibble(arguments, input);
  EXPECT_EQ(text.status, 1) << text.out;
  EXPECT_EQ(text.out, "");
  EXPECT_EQ(std::count(text.err.begin(), text.err.end(), '\n'), 1) << text.err;
  EXPECT_NE(text.err.find(part), std::string::npos) << text.err;

  arguments.emplace_back("--json");
  const Outcome json = nibble(arguments, input);
  EXPECT_EQ(json.status, 1);
  EXPECT_EQ(json.err, "");
  const Json error = json.json().at("error");
  EXPECT_EQ(error.at("code"), code) << json.out;
  EXPECT_NE(error.at("message").get<std::string>().find(part), std::string::npos) << json.out;
}

/// A float32 matrix as NumPy's .npy, version 1.
struct Npy {
  std::int64_t rows = 0, columns = 0;
  std::vector<float> values;
};
inline Npy read_npy(const fs::path& path) {
  const std::string bytes = read_file(path);
  Npy npy;
  if (bytes.size() < 10 || bytes.substr(0, 8) != std::string("\x93NUMPY\x01\x00", 8)) return npy;
  const std::size_t header =
      10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<std::size_t>(static_cast<unsigned char>(bytes[9]));
  EXPECT_EQ(header % 64, 0u);
  const std::string text = bytes.substr(10, header - 10);
  EXPECT_EQ(text.back(), '\n');
  long long rows = 0, columns = 0;
  EXPECT_EQ(
      std::sscanf(text.c_str(), "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }", &rows, &columns),
      2)
      << text;
  npy.rows = rows;
  npy.columns = columns;
  npy.values.resize((bytes.size() - header) / 4);
  std::copy_n(bytes.data() + header, npy.values.size() * 4, reinterpret_cast<char*>(npy.values.data()));
  EXPECT_EQ(static_cast<std::int64_t>(npy.values.size()), rows * columns);
  return npy;
}

inline double max_difference(const Npy& a, const Npy& b) {
  if (a.values.size() != b.values.size() || a.values.empty()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a.values[i]) - b.values[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

}  // namespace nibble::testing
