#pragma once

namespace nibble::inline v0::detail {

/// What a device was told once, and does again.
class Repeatable {
 public:
  virtual ~Repeatable() = default;
  /// False, and nothing done, where at this moment it has to be told anew.
  virtual bool run() = 0;
};

}  // namespace nibble::inline v0::detail
