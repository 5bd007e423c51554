#pragma once

#include <cstdint>

namespace nibble_test {

/// The most bytes that operator new has had out at once, beyond what it had when this began.
class PeakOfNew {
 public:
  PeakOfNew();
  std::uint64_t bytes() const;

 private:
  std::int64_t start_;
};

}  // namespace nibble_test
