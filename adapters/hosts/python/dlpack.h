#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <optional>

#include "nibble/dtype.h"

/// DLPack as far as nanobind has no names for it: which dtype is which, and the C functions that a tensor class may
/// offer beside its methods (DLPack 1.3's exchange table, dmlc/dlpack).
namespace nibble {
namespace hosts {
namespace dlpack {

/// Nothing where the other side has no such dtype.
std::optional<nanobind::dlpack::dtype> to_dlpack(DType dtype);
std::optional<DType> from_dlpack(nanobind::dlpack::dtype dtype);

struct Version {
  std::uint32_t major, minor;
};

/// DLManagedTensorVersioned
struct ManagedTensor {
  Version version{1, 0};
  void* context = nullptr;
  void (*deleter)(ManagedTensor* self) = nullptr;
  std::uint64_t flags = 0;
  nanobind::dlpack::dltensor tensor{};
};

/// DLPackExchangeAPI: a function returns 0, or else has set Python's exception.
struct Exchange {
  Version version;
  const Exchange* older;
  int (*allocate)(nanobind::dlpack::dltensor* like, ManagedTensor** out, void* context,
                  void (*set_error)(void* context, const char* kind, const char* message));
  int (*share)(PyObject* array, ManagedTensor** out);
  int (*take)(ManagedTensor* given, PyObject** out);              ///< makes an array of what it is given
  int (*look)(PyObject* array, nanobind::dlpack::dltensor* out);  ///< only while nothing else happens to the array
  int (*current_stream)(std::int32_t device_type, std::int32_t device, void** out);
};

/// The table of an array's class; null where it has none that is laid out so.
const Exchange* exchange_of(nanobind::handle type);

}  // namespace dlpack
}  // namespace hosts
}  // namespace nibble
