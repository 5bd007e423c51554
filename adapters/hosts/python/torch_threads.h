#pragma once

#include "nibble/options.h"

namespace nibble {
namespace hosts {

/// The options in force, on torch's threads where it computes on several. They look for work for milliseconds after a
/// loop of torch's, and beside them those of nibble's own pool would find no core. Good on this thread, until it asks
/// again.
Options on_torch_threads();

}  // namespace hosts
}  // namespace nibble
