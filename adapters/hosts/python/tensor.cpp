// The Python class Tensor: what it is, and its operators. What needs NumPy, or Python's own ways of indexing, is
// written in Python.

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>

#include "adapters/hosts/python/bindings.h"
#include "adapters/hosts/python/casters.h"
#include "nibble/quantization.h"

namespace nb = nanobind;
using namespace nanobind::literals;

namespace nibble {
namespace hosts {
namespace {

using Released = nb::call_guard<nb::gil_scoped_release>;
using Class = nb::class_<Tensor>;

/// "Tensor((128, 64), float32, affine4-g64)": never packed words.
std::string repr(const Tensor& x) {
  if (!x.defined()) return "Tensor(undefined)";
  nb::object dtype = nb::cast(x.dtype());
  std::string text = "Tensor(shape=" + to_string(x.shape()) + ", dtype=" + nb::cast<std::string>(dtype.attr("name"));
  if (x.is_quantized()) text += ", format=" + packing_of(x).format.name;
  if (x.device() != Device::cpu()) text += ", device=" + to_string(x.device());
  if (!x.is_quantized() && x.numel() <= 64) {
    text += ", " + nb::cast<std::string>(nb::str(nb::module_::import_("nibble._tensor").attr("to_numpy")(nb::cast(x))));
  }
  return text + ")";
}

/// A method written in Python: nibble._tensor.<function>(self, ...).
auto in_python(const char* function) {
  return [function](nb::handle self, const nb::args& args, const nb::kwargs& kwargs) {
    return nb::module_::import_("nibble._tensor").attr(function)(self, *args, **kwargs);
  };
}

template <Tensor (*function)(const Operand&, const Operand&)>
void def_binary(Class& c, const char* name, const char* reflected) {
  c.def(
      name, [](const Tensor& a, const Operand& b) { return function(a, b); }, nb::is_operator(), Released());
  if (!reflected) return;
  c.def(
      reflected, [](const Tensor& a, const Operand& b) { return function(b, a); }, nb::is_operator(), Released());
}

void def_operators(Class& c) {
  def_binary<add>(c, "__add__", "__radd__");
  def_binary<subtract>(c, "__sub__", "__rsub__");
  def_binary<multiply>(c, "__mul__", "__rmul__");
  def_binary<divide>(c, "__truediv__", "__rtruediv__");
  def_binary<floor_divide>(c, "__floordiv__", "__rfloordiv__");
  def_binary<remainder>(c, "__mod__", "__rmod__");
  def_binary<power>(c, "__pow__", "__rpow__");
  def_binary<equal>(c, "__eq__", nullptr);
  def_binary<not_equal>(c, "__ne__", nullptr);
  def_binary<less>(c, "__lt__", nullptr);
  def_binary<less_equal>(c, "__le__", nullptr);
  def_binary<greater>(c, "__gt__", nullptr);
  def_binary<greater_equal>(c, "__ge__", nullptr);
  c.def(
      "__matmul__", [](const Tensor& a, const Tensor& b) { return matmul(a, b); }, nb::is_operator(), Released());
  c.def(
      "__neg__", [](const Tensor& x) { return negative(x); }, Released());
  c.def("__pos__", [](const Tensor& x) { return x; });
  c.def(
      "__abs__", [](const Tensor& x) { return abs(x); }, Released());
}

void def_properties(Class& c) {
  c.def_prop_ro(
      "shape", [](const Tensor& x) { return x.shape(); }, "Sizes of the axes, logical ones.");
  c.def_prop_ro("ndim", &Tensor::ndim, "The number of axes.");
  c.def_prop_ro("size", &Tensor::numel, "The number of elements.");
  c.def_prop_ro("dtype", &Tensor::dtype, "Type of the elements; of a packed tensor the logical one.");
  c.def_prop_ro(
      "device", [](const Tensor& x) { return to_string(x.device()); }, "\"cpu\" or \"vulkan:0\".");
  c.def_prop_ro("nbytes", &Tensor::nbytes, "Bytes in storage; of a packed tensor all components.");
  c.def_prop_ro("is_quantized", &Tensor::is_quantized, "Whether it is stored packed.");
  c.def_prop_ro(
      "format",
      [](const Tensor& x) { return x.is_quantized() ? std::optional(packing_of(x).format.name) : std::nullopt; },
      "Name of the packed format (\"affine4-g64\"); None for a dense tensor.");
  c.def_prop_ro(
      "packed_axis",
      [](const Tensor& x) { return x.is_quantized() ? std::optional(packing_of(x).axis) : std::nullopt; },
      "The axis along which a packed tensor is packed; None for a dense one.");
  c.def_prop_ro(
      "T", [](const Tensor& x) { return transpose(x); }, "All axes reversed: a view.");
  c.def_prop_ro(
      "mT", [](const Tensor& x) { return swapaxes(x, -1, -2); }, "The last two axes exchanged: a view.");
}

}  // namespace

void bind_tensor(nb::module_& m) {
  Class c(m, "Tensor",
          "An n-dimensional array, dense or packed; immutable. Made by asarray, quantize, load, zeros ...");
  def_properties(c);
  def_operators(c);
  c.def("__repr__", [](const Tensor& x) { return repr(x); });
  c.def("__len__", [](const Tensor& x) {
    if (x.ndim() == 0) throw nb::type_error("len() of a tensor without axes");
    return x.size(0);
  });
  c.attr("__hash__") = nb::none();
  c.attr("__array_priority__") = 1000;

  c.def(
      "to_device", [](const Tensor& x, const std::string& device) { return x.to(Device::parse(device)); }, "device"_a,
      Released(), "The same values on another device.");
  c.def("components", in_python("components"), nb::sig("def components(self) -> dict[str, Tensor]"),
        "The named buffers of a packed tensor, without a copy: codes, scales, biases; of GGUF's formats blocks.");
  c.def("numpy", in_python("to_numpy"), nb::sig("def numpy(self) -> numpy.ndarray"),
        "As a NumPy array: a read-only view where dense and on the CPU. bfloat16 becomes float32; a packed tensor is "
        "decoded.");
  c.def("item", in_python("item"), nb::sig("def item(self) -> bool | int | float"), "The value of the only element.");
  c.def("tolist", in_python("tolist"), nb::sig("def tolist(self) -> typing.Any"), "The values as nested lists.");
  c.def("astype", in_python("astype"), nb::sig("def astype(self, dtype: typing.Any) -> Tensor"),
        "The values in another dtype; a packed tensor is decoded.");
  c.def("dequantize", in_python("dequantize"), nb::sig("def dequantize(self, dtype: typing.Any = None) -> Tensor"),
        "The values of a packed tensor, dense.");
  c.def("reshape", in_python("reshape"), nb::sig("def reshape(self, *shape: typing.Any) -> Tensor"),
        "The elements in row-major order under another shape; one size may be -1.");
  c.def("sum", in_python("sum"), nb::sig("def sum(self, axis: typing.Any = None, keepdims: bool = False) -> Tensor"));
  c.def("mean", in_python("mean"),
        nb::sig("def mean(self, axis: typing.Any = None, keepdims: bool = False) -> Tensor"));
  c.def("max", in_python("max"), nb::sig("def max(self, axis: typing.Any = None, keepdims: bool = False) -> Tensor"));
  c.def("min", in_python("min"), nb::sig("def min(self, axis: typing.Any = None, keepdims: bool = False) -> Tensor"));

  c.def("__getitem__", in_python("getitem"), nb::sig("def __getitem__(self, key: typing.Any, /) -> Tensor"));
  c.def("__iter__", in_python("iterate"), nb::sig("def __iter__(self) -> typing.Iterator[Tensor]"));
  c.def("__bool__", in_python("to_bool"), nb::sig("def __bool__(self) -> bool"));
  c.def("__int__", in_python("to_int"), nb::sig("def __int__(self) -> int"));
  c.def("__index__", in_python("to_index"), nb::sig("def __index__(self) -> int"));
  c.def("__float__", in_python("to_float"), nb::sig("def __float__(self) -> float"));
  c.def("__reduce__", in_python("reduce"), nb::sig("def __reduce__(self) -> tuple[typing.Any, ...]"));
  c.def("__array__", in_python("array"),
        nb::sig("def __array__(self, dtype: typing.Any = None, copy: bool | None = None) -> numpy.ndarray"));
  c.def("__array_ufunc__", in_python("array_ufunc"),
        nb::sig("def __array_ufunc__(self, ufunc: typing.Any, method: str, *inputs: typing.Any, **kwargs: typing.Any) "
                "-> typing.Any"));
  c.def("__array_function__", in_python("array_function"),
        nb::sig("def __array_function__(self, func: typing.Any, types: typing.Any, args: typing.Any, kwargs: "
                "typing.Any) -> typing.Any"));
  c.def("__array_namespace__", in_python("array_namespace"),
        nb::sig("def __array_namespace__(self, *, api_version: str | None = None) -> typing.Any"));
  c.def("__dlpack_device__", in_python("dlpack_device"), nb::sig("def __dlpack_device__(self) -> tuple[int, int]"));
  c.def("__dlpack__", in_python("dlpack"),
        nb::sig("def __dlpack__(self, *, stream: typing.Any = None, max_version: tuple[int, int] | None = None, "
                "dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> typing.Any"));
  m.attr("undefined") = Tensor();
}

}  // namespace hosts
}  // namespace nibble
