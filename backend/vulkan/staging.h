#pragma once

#include <array>
#include <cstddef>

#include "backend/vulkan/commands.h"

namespace nibble::inline v0::detail::vulkan {

/// Memory of the host's that the device can reach, through which bytes pass to and from memory that the host cannot
/// see, or that the device may still be using. Two halves take turns, so that one is filled while the other is copied.
class Staging {
 public:
  Staging(Memory& memory, Commands& commands);

  /// Records copies of the bytes at `data` to a part of a region; they have been read at return.
  void upload(const std::byte* data, Access to);
  /// Copies a part of a region to `out`, waiting for whatever writes it.
  void download(Access from, std::byte* out);

 private:
  /// Room for some of `bytes`: as much as the half has left, which is free of the device.
  Access room(std::uint64_t bytes);

  Commands& commands_;
  Region region_;
  std::uint64_t at_ = 0;  // in the half that is being filled
  std::size_t half_ = 0;
  std::array<std::uint64_t, 2> busy_{};  // the last batch that uses each half
};

}  // namespace nibble::inline v0::detail::vulkan
