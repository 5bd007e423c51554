#pragma once

#include <nanobind/nanobind.h>

/// The parts of the Python module nibble._nibble: what has a C++ type. The package around it, in Python, gives the
/// array API's names and NumPy's protocols.
namespace nibble {
namespace hosts {

void bind_dtype(nanobind::module_& m);
void bind_errors();
void bind_tensor(nanobind::module_& m);
void bind_exchange(nanobind::module_& m);
void bind_ops(nanobind::module_& m);
void bind_packed(nanobind::module_& m);
void bind_settings(nanobind::module_& m);
void bind_torch(nanobind::module_& m);

}  // namespace hosts
}  // namespace nibble
