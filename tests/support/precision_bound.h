#pragma once

#include "nibble/options.h"

namespace nibble_test {

/// The error of an element that a precision may have, over the norms of the row of x and the row of w:
/// nibble/options.h.
inline double bound(nibble::Precision precision) {
  return precision == nibble::Precision::exact ? 1e-6 : precision == nibble::Precision::standard ? 1e-4 : 2e-2;
}

}  // namespace nibble_test
