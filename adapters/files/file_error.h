#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace files {

/// A name out of a file as an error text may show it: one line, control characters escaped, cut after 120 bytes.
std::string shown(std::string_view name);

/// Throws Error(code) with "file: tensor: rule"; an empty tensor name is left out.
[[noreturn]] void refuse(ErrorCode code, const std::filesystem::path& file, std::string_view tensor,
                         std::string_view rule);
/// The same for a file that is damaged or not what its name says.
[[noreturn]] inline void bad_file(const std::filesystem::path& file, std::string_view tensor, std::string_view rule) {
  refuse(ErrorCode::invalid_file, file, tensor, rule);
}
/// Throws Error(io_error) with "file: what: the system's reason".
[[noreturn]] void io_failure(const std::filesystem::path& file, std::string_view what, int error_number);

/// Runs `body`; what the standard's file system library throws on its own becomes an Error(io_error) like all others.
template <class Body>
auto with_system_errors(Body&& body) {
  try {
    return body();
  } catch (const std::filesystem::filesystem_error& e) {
    io_failure(e.path1(), "cannot be looked up", e.code().value());
  }
}

/// What `make` gives; an Error of its, which tells a rule alone, gets the names of file and tensor.
template <class Make>
auto naming(const std::filesystem::path& file, std::string_view tensor, Make&& make) {
  try {
    return make();
  } catch (const Error& error) {
    refuse(error.code(), file, tensor, error.what());
  }
}

/// a + b and a · b of sizes out of a file; false where they overflow.
inline bool add_sizes(std::uint64_t a, std::uint64_t b, std::uint64_t* sum) {
  return !__builtin_add_overflow(a, b, sum);
}
inline bool multiply_sizes(std::uint64_t a, std::uint64_t b, std::uint64_t* product) {
  return !__builtin_mul_overflow(a, b, product);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
