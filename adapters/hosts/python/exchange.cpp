// Memory shared with other array libraries: DLPack, NumPy, the buffer protocol.

#include <fmt/format.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/hosts/python/bindings.h"
#include "adapters/hosts/python/casters.h"
#include "adapters/hosts/python/dlpack.h"
#include "nibble/error.h"
#include "nibble/memory.h"

namespace nb = nanobind;
using namespace nanobind::literals;

namespace nibble {
namespace hosts {
namespace {

constexpr std::uint8_t kComplex = 5;  // DLDataTypeCode

nb::dlpack::dtype dlpack_dtype(DType dtype) {
  if (const auto found = dlpack::to_dlpack(dtype)) return *found;
  throw Error(ErrorCode::unsupported, "[dlpack] " + std::string(name(dtype)) + " has no DLPack type: cast it first");
}

DType dtype_of_dlpack(nb::dlpack::dtype dtype, const char* caller) {
  if (const auto found = dlpack::from_dlpack(dtype)) return *found;
  const std::string_view kind = dtype.code == kComplex ? "complex numbers" : "elements";
  throw Error(ErrorCode::unsupported,
              fmt::format("[{}] {} of {} bits (DLPack's type code {}): nibble has no such dtype", caller, kind,
                          dtype.bits, dtype.code));
}

using Lent = nb::ndarray<nb::ro, nb::device::cpu>;

/// Keeps an array of Python alive; the last reference may go on any thread, or after the interpreter.
std::shared_ptr<const void> keep(Lent array) {
  return std::shared_ptr<const void>(new Lent(std::move(array)), [](const void* held) {
    if (!Py_IsInitialized()) return;
    const nb::gil_scoped_acquire gil;
    delete static_cast<const Lent*>(held);
  });
}

/// A tensor over an array's memory, without a copy; `as` where its own dtype is only a name for as many bytes.
Tensor borrow(const Lent& array, std::optional<DType> as, const char* caller) {
  if (array.ndim() > kMaxRank) {
    throw Error(ErrorCode::unsupported,
                fmt::format("[{}] an array of {} axes: at most {}", caller, array.ndim(), kMaxRank));
  }
  if (array.data() == nullptr && array.size() != 0) {  // a class of torch's that has its values elsewhere
    throw Error(ErrorCode::unsupported, fmt::format("[{}] the array has no memory of its own", caller));
  }
  const DType own = dtype_of_dlpack(array.dtype(), caller);
  if (as && itemsize(*as) != itemsize(own)) {
    throw Error(ErrorCode::dtype_mismatch, "[asarray] elements have another size than the dtype asked for");
  }
  Shape shape, strides;
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    shape.push_back(static_cast<std::int64_t>(array.shape(axis)));
    strides.push_back(array.stride(axis));
  }
  return from_borrowed(keep(array), array.data(), shape, strides, as.value_or(own));
}

/// The major version that a capsule's structure is laid out by; 0 for the first, which had no number.
/// DLManagedTensorVersioned begins with it, in every version (DLPack 1.0, dmlc/dlpack).
std::uint32_t major_version(nb::handle capsule) {
  if (!PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) return 0;
  return *static_cast<const std::uint32_t*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
}

Tensor from_capsule(const nb::object& capsule) {
  if (!PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") && !PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    throw nb::type_error("[from_dlpack] neither a DLPack capsule that is still to be used nor an object that has one");
  }
  if (const std::uint32_t major = major_version(capsule); major > 1) {
    const std::string text = "[from_dlpack] a capsule of DLPack " + std::to_string(major) + ": only 0 and 1 are known";
    throw nb::buffer_error(text.c_str());
  }
  Lent array;
  if (!nb::try_cast(capsule, array, false)) {
    throw nb::buffer_error("[from_dlpack] the array is not in the CPU's memory, or of a layout that cannot be read");
  }
  return borrow(array, std::nullopt, "from_dlpack");
}

Tensor from_array(const nb::object& array, std::optional<DType> as) {
  Lent lent;
  if (!nb::try_cast(array, lent, false)) throw nb::type_error("[asarray] not an array in the CPU's memory");
  return borrow(lent, as, "asarray");
}

/// A view for other libraries: the tensor lives as long as it. What nobody else reads may be written to.
template <class Framework, class... Access>
nb::object lend(const nb::object& self) {
  const Tensor& x = *nb::inst_ptr<Tensor>(self);
  const MemoryLayout layout = memory_layout(x);
  std::array<std::size_t, kMaxRank> shape{};
  std::array<std::int64_t, kMaxRank> strides{};
  for (int axis = 0; axis < x.ndim(); ++axis) {
    shape[static_cast<std::size_t>(axis)] = static_cast<std::size_t>(x.shape()[axis]);
    strides[static_cast<std::size_t>(axis)] = layout.strides[axis];
  }
  return nb::cast(nb::ndarray<Framework, Access...>(const_cast<void*>(layout.data), static_cast<std::size_t>(x.ndim()),
                                                    shape.data(), self, strides.data(), dlpack_dtype(x.dtype())));
}

}  // namespace

void bind_exchange(nb::module_& m) {
  m.def("from_capsule", &from_capsule, "capsule"_a.none());
  m.def("from_array", &from_array, "array"_a, "dtype"_a = nb::none());
  m.def("lend_numpy", &lend<nb::numpy, nb::ro>, "x"_a);
  m.def("lend_dlpack", &lend<nb::array_api, nb::ro>, "x"_a);
  m.def("give_dlpack", &lend<nb::array_api>, "x"_a,
        "A result that the caller alone holds, and that may be written to.");
  m.def("copy_out", [](const Tensor& x) {
    std::vector<char> bytes(static_cast<std::size_t>(x.numel()) * itemsize(x.dtype()));
    if (!bytes.empty()) x.copy_out(bytes.data(), x.dtype());
    return nb::bytes(bytes.data(), bytes.size());
  });
  m.def("from_bytes", [](const nb::bytes& bytes, const Shape& shape, DType dtype) {
    if (shape.numel() < 0 || bytes.size() != static_cast<std::size_t>(shape.numel()) * itemsize(dtype)) {
      throw Error(ErrorCode::shape_mismatch, "[from_bytes] as many bytes as the shape says are wanted");
    }
    return from_data(bytes.c_str(), shape, dtype);
  });
}

}  // namespace hosts
}  // namespace nibble
