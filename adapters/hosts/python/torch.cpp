// The short way of a torch tensor through a product and back: no object of Python's but the result.

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "adapters/hosts/python/bindings.h"
#include "adapters/hosts/python/casters.h"
#include "adapters/hosts/python/dlpack.h"
#include "adapters/hosts/python/torch_threads.h"
#include "nibble/memory.h"
#include "nibble/ops.h"
#include "nibble/options.h"

namespace nb = nanobind;
using namespace nanobind::literals;

namespace nibble {
namespace hosts {
namespace {

using dlpack::Exchange;

bool is_true(const nb::object& value) { return PyObject_IsTrue(value.ptr()) == 1; }

const void* place(const nb::dlpack::dltensor& seen) { return static_cast<const char*>(seen.data) + seen.byte_offset; }

/// What torch is given: it keeps the tensor, and may write to it, since nobody else reads it.
struct Given {
  explicit Given(Tensor result) : tensor(std::move(result)) {
    const MemoryLayout layout = memory_layout(tensor);
    std::copy(tensor.shape().begin(), tensor.shape().end(), shape.begin());
    std::copy(layout.strides.begin(), layout.strides.end(), strides.begin());
    managed.context = this;
    managed.deleter = [](dlpack::ManagedTensor* self) { delete static_cast<Given*>(self->context); };
    managed.tensor.data = const_cast<void*>(layout.data);
    managed.tensor.device.device_type = nb::device::cpu::value;
    managed.tensor.ndim = tensor.ndim();
    managed.tensor.dtype = dlpack::to_dlpack(tensor.dtype()).value();
    managed.tensor.shape = shape.data();
    managed.tensor.strides = strides.data();
  }

  Tensor tensor;
  std::array<std::int64_t, kMaxRank> shape, strides;
  dlpack::ManagedTensor managed;
};

/// A linear layer's weight: what x is multiplied with, and the part of the packed torch tensor that tells by its place
/// whether it still lies there.
struct LinearWeight {
  nb::object part;
  const void* place;
  Tensor right;
};

/// torch's class of plain tensors, and who might want to see a product rather than have it: functions that say whether
/// somebody differentiates, traces, maps.
class Torch {
 public:
  Torch(nb::type_object tensor, nb::tuple observers)
      : tensor_(std::move(tensor)), observers_(std::move(observers)), exchange_(dlpack::exchange_of(tensor_)) {}

  bool is_observed() const {
    for (const nb::handle observer : observers_) {
      if (is_true(observer())) return true;
    }
    return false;
  }

  /// The weight (…, N, K) over torch's parts; `turned`: (…, K, N).
  std::optional<LinearWeight> weight(nb::object part, const Tensor& w, bool turned) const {
    const auto seen = exchange_ ? look(part) : std::nullopt;
    if (!seen) return std::nullopt;
    return LinearWeight{std::move(part), place(*seen), turned ? w : swapaxes(w, -1, -2)};
  }

  /// x (…, K) · weight, or None where torch is to do it: x is not plain memory, or somebody looks on.
  nb::object linear(nb::handle x, const LinearWeight* w) const {
    if (!w || Py_TYPE(x.ptr()) != reinterpret_cast<PyTypeObject*>(tensor_.ptr()) || is_observed()) return nb::none();
    if (is_true(x.attr("is_neg")())) return nb::none();  // memory holds the values with the other sign
    const auto part = look(w->part);
    const auto seen = look(x);
    if (!part || place(*part) != w->place || !seen || seen->ndim > kMaxRank) return nb::none();
    const auto dtype = dlpack::from_dlpack(seen->dtype);
    if (!dtype) return nb::none();
    return give(multiply(*seen, *dtype, w->right));
  }

 private:
  std::optional<nb::dlpack::dltensor> look(nb::handle tensor) const {
    nb::dlpack::dltensor seen;
    if (exchange_->look(tensor.ptr(), &seen) == 0 && seen.device.device_type == nb::device::cpu::value) return seen;
    PyErr_Clear();
    return std::nullopt;
  }

  static std::unique_ptr<Given> multiply(const nb::dlpack::dltensor& seen, DType dtype, const Tensor& right) {
    const nb::gil_scoped_release released;
    const auto rank = static_cast<std::size_t>(seen.ndim);
    const Tensor x = from_borrowed(nullptr, place(seen), Shape(std::span(seen.shape, rank)),
                                   Strides(std::span(seen.strides, rank)), dtype);
    return std::make_unique<Given>(matmul(x, right, on_torch_threads()));
  }

  nb::object give(std::unique_ptr<Given> result) const {
    PyObject* made = nullptr;
    if (exchange_->take(&result.release()->managed, &made) != 0) throw nb::python_error();
    return nb::steal(made);
  }

  nb::type_object tensor_;
  nb::tuple observers_;
  const Exchange* exchange_;
};

nb::object call_on_torch_threads(const nb::callable& function, const nb::args& arguments) {
  const with in_force(on_torch_threads());
  return function(*arguments);
}

}  // namespace

void bind_torch(nb::module_& m) {
  m.def("on_torch_threads", &call_on_torch_threads, "function"_a, "arguments"_a);
  nb::class_<LinearWeight>(m, "LinearWeight").def("__deepcopy__", [](const LinearWeight&, nb::handle) {
    return nb::none();  // a copy lies elsewhere
  });
  nb::class_<Torch>(m, "Torch")
      .def(nb::init<nb::type_object, nb::tuple>(), "tensor"_a, "observers"_a)
      .def("is_observed", &Torch::is_observed)
      .def("weight", &Torch::weight, "part"_a, "w"_a, "turned"_a)
      .def("linear", &Torch::linear, "x"_a, "w"_a.none());
}

}  // namespace hosts
}  // namespace nibble
