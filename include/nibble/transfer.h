#pragma once

#include <cstdint>

#include "nibble/device.h"
#include "nibble/export.h"

/// What passes between devices. Where an operation's operands lie apart, one that is constant, packed or in memory that
/// nobody writes (from_borrowed, a mapped file), moves to the other's device, once: its copy stays there for the next
/// time. Transfer::error forbids it, and two operands of which neither is constant are refused. stats() counts the
/// bytes. Never moved, but refused: the condition of where, what update_slice writes, keys, values, mask and lengths of
/// attention, and what concatenate and stack join.
namespace nibble {
inline namespace v0 {

/// How many bytes of such copies each device may keep; those that were used longest ago leave first. By default as many
/// as fit: where a device has no room left, they leave too. A copy larger than the budget lives for one operation.
NIBBLE_API void set_transfer_budget(std::uint64_t bytes);
/// The bytes of copies that a device keeps at present, of constants that still live.
NIBBLE_API std::uint64_t transferred_bytes(Device device);

/// Operations that one device has run since the process began or since reset_stats().
NIBBLE_API std::uint64_t operations(Device device) noexcept;

}  // namespace v0
}  // namespace nibble
