#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "adapters/hosts/python/bindings.h"
#include "nibble/dtype.h"
#include "nibble/error.h"

namespace nb = nanobind;

namespace nibble {
namespace hosts {

void bind_dtype(nb::module_& m) {
  nb::enum_<DType>(m, "DType", "Type of a tensor's elements; of a packed tensor the logical one.")
      .value("float32", DType::f32)
      .value("float16", DType::f16)
      .value("bfloat16", DType::bf16)
      .value("float64", DType::f64)
      .value("int8", DType::i8)
      .value("uint8", DType::u8)
      .value("int16", DType::i16)
      .value("uint16", DType::u16)
      .value("int32", DType::i32)
      .value("uint32", DType::u32)
      .value("int64", DType::i64)
      .value("uint64", DType::u64)
      .value("bool", DType::boolean)
      .value("float8_e4m3fn", DType::f8_e4m3)
      .value("float8_e5m2", DType::f8_e5m2)
      .def_prop_ro("itemsize", [](DType dtype) { return itemsize(dtype); });
  m.def("parse_dtype", [](const std::string& text) {
    const auto dtype = parse_dtype(text);
    if (!dtype) throw Error(ErrorCode::invalid_argument, "[dtype] '" + text + "': there is no such dtype");
    return *dtype;
  });
  m.def("promote", [](DType a, DType b) { return promote(a, b); });
}

/// Each code has a class of its own, written in Python, that is also the built-in exception a caller expects.
void bind_errors() {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& e) {
      const nb::object error = nb::module_::import_("nibble._errors").attr("error_of")(name(e.code()), e.what());
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
    }
  });
}

}  // namespace hosts
}  // namespace nibble

NB_MODULE(_nibble, m) {
  using namespace nibble::hosts;
  nb::set_leak_warnings(false);  // the library never prints; what other libraries still hold at exit is theirs
  m.doc() = "nibble's C++ functions, as they are; the package nibble has them by the array API's names.";
  bind_errors();
  bind_dtype(m);
  bind_tensor(m);
  bind_exchange(m);
  bind_ops(m);
  bind_packed(m);
  bind_settings(m);
  bind_torch(m);
}
