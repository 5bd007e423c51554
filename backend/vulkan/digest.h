#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace nibble::inline v0::detail::vulkan {

/// FNV-1a: 64 bits that tell what was made of what.
class Digest {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) value_ = (value_ ^ std::to_integer<std::uint64_t>(b)) * kPrime;
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  /// In one step, not by its bytes.
  void add_word(std::uint32_t word) { value_ = (value_ ^ word) * kPrime; }
  template <class T>
  void add_number(T number) {
    add(std::as_bytes(std::span(&number, 1)));
  }
  std::uint64_t value() const { return value_; }

 private:
  static constexpr std::uint64_t kPrime = 0x100000001b3;

  std::uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace nibble::inline v0::detail::vulkan
