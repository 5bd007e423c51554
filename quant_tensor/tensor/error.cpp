#include "nibble/error.h"

namespace nibble {
inline namespace v0 {

const char* name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::shape_mismatch: return "shape_mismatch";
    case ErrorCode::dtype_mismatch: return "dtype_mismatch";
    case ErrorCode::out_of_range: return "out_of_range";
    case ErrorCode::device_mismatch: return "device_mismatch";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::fallback_forbidden: return "fallback_forbidden";
    case ErrorCode::transfer_forbidden: return "transfer_forbidden";
    case ErrorCode::invalid_file: return "invalid_file";
    case ErrorCode::io_error: return "io_error";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::device_lost: return "device_lost";
  }
  return "unknown";
}

}  // namespace v0
}  // namespace nibble
