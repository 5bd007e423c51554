#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>

#include "backend/vulkan/context.h"

namespace nibble::inline v0::detail::vulkan {

/// The arguments of shaders/walk.glsl, which kernels of plain operations share.
struct Walk {
  static constexpr int kAxes = 4;
  static constexpr std::size_t kOperands = 4;

  std::array<std::uint64_t, kOperands> address{};
  std::array<std::uint32_t, kAxes> size{1, 1, 1, 1};
  std::array<std::array<std::int32_t, kAxes>, kOperands> stride{};
  std::array<std::uint32_t, 4> extra{};

  std::uint64_t count() const { return std::uint64_t{size[0]} * size[1] * size[2] * size[3]; }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(this, 1)); }
};
static_assert(sizeof(Walk) == kPushBytes);

/// Two words of `extra`, low one first.
void set_extra(Walk& walk, std::size_t at, std::uint64_t value);

/// Calls `visit` with walks that together pass over `shape` once; operands have that shape by their strides, or are
/// undefined. Axes that all operands step through evenly are merged; what no four axes of 32 bits express is split.
void each_walk_by(const Shape& shape, std::initializer_list<Tensor> operands, const std::function<void(Walk&)>& visit);
template <class Visit>
void each_walk(const Shape& shape, std::initializer_list<Tensor> operands, Visit&& visit) {
  each_walk_by(shape, operands, std::ref(visit));  // which takes no memory
}

/// The address of a dense tensor's first element.
std::uint64_t address_of(const Tensor& t);

}  // namespace nibble::inline v0::detail::vulkan
