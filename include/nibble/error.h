#pragma once

#include <stdexcept>
#include <string>

#include "nibble/export.h"

namespace nibble {
inline namespace v0 {

/// What kind of rule was broken; the text of an Error says which one and by what.
enum class ErrorCode {
  invalid_argument,    ///< an argument outside its stated domain
  shape_mismatch,      ///< shapes that do not fit each other
  dtype_mismatch,      ///< a dtype the operation does not take
  out_of_range,        ///< an index outside its axis
  device_mismatch,     ///< operands on different devices
  unsupported,         ///< well formed, but not something this version computes or reads
  fallback_forbidden,  ///< would dequantize or copy while Fallback::error is set
  transfer_forbidden,  ///< would move data between devices while Transfer::error is set
  invalid_file,        ///< a file that is damaged or not what its name says
  io_error,            ///< the operating system refused
  out_of_memory,       ///< host or device memory is exhausted
  device_lost,         ///< the device is gone; sticky
};

/// The code's name as it is written in JSON: "invalid_argument", "shape_mismatch", ...
NIBBLE_API const char* name(ErrorCode code) noexcept;

/// The one exception that nibble throws. `what()` is one line that names the operation (or the file and
/// tensor), the shapes and formats involved, and the rule that was broken:
/// `[matmul] x f32 (3, 64) · w affine4-g64 (128, 128)ᵀ: contracted sizes 64 and 128 differ`.
class NIBBLE_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace v0
}  // namespace nibble
