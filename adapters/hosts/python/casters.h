#pragma once

#include <nanobind/nanobind.h>

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "nibble/ops.h"

// How the library's arguments come from Python, so that its functions can be bound as they are.
namespace nanobind {
namespace detail {

/// For values that cannot be made of nothing.
template <class T>
struct HeldCaster {
  using Value = T;
  template <class U>
  using Cast = movable_cast_t<U>;
  template <class U>
  static constexpr bool can_cast() {
    return true;
  }
  explicit operator T*() { return &*value; }
  explicit operator T&() { return *value; }
  explicit operator T&&() { return static_cast<T&&>(*value); }

  std::optional<T> value;
};

inline const nibble::Tensor* as_tensor(handle source) noexcept {
  return isinstance<nibble::Tensor>(source) ? inst_ptr<nibble::Tensor>(source) : nullptr;
}

/// A Python number; nothing for NumPy's own, which are not weak.
inline std::optional<nibble::Scalar> as_scalar(handle source) noexcept {
  if (PyBool_Check(source.ptr())) return nibble::Scalar(source.ptr() == Py_True);
  if (PyFloat_Check(source.ptr())) return nibble::Scalar(PyFloat_AsDouble(source.ptr()));
  if (!PyLong_Check(source.ptr())) return std::nullopt;
  const long long number = PyLong_AsLongLong(source.ptr());
  if (number == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    return std::nullopt;
  }
  return nibble::Scalar(static_cast<std::int64_t>(number));
}

template <>
struct type_caster<nibble::Shape> : HeldCaster<nibble::Shape> {
  static constexpr auto Name = io_name("int | collections.abc.Sequence[int] | None", "tuple[int, ...]");

  bool from_python(handle source, std::uint32_t, cleanup_list*) noexcept {
    value.emplace();
    if (source.is_none()) return true;
    if (!PyTuple_Check(source.ptr()) && !PyList_Check(source.ptr())) return append(source.ptr());
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(source.ptr());
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (!append(PySequence_Fast_GET_ITEM(source.ptr(), i))) return false;
    }
    return true;
  }

  static handle from_cpp(const nibble::Shape& shape, rv_policy, cleanup_list*) noexcept {
    PyObject* tuple = PyTuple_New(shape.rank());
    for (int i = 0; tuple && i < shape.rank(); ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(shape[i]));
    return tuple;
  }

  // Here, where the call can throw, the library says what it holds of too many axes.
  explicit operator nibble::Shape&() {
    if (surplus_ > 0) static_cast<void>(nibble::Shape(std::vector<std::int64_t>(nibble::kMaxRank + surplus_)));
    return *value;
  }
  explicit operator nibble::Shape&&() { return std::move(operator nibble::Shape&()); }

 private:
  bool append(PyObject* item) noexcept {
    if (!PyIndex_Check(item)) return false;
    const Py_ssize_t size = PyNumber_AsSsize_t(item, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    if (value->rank() == nibble::kMaxRank) {
      ++surplus_;
    } else {
      value->push_back(size);
    }
    return true;
  }

  std::size_t surplus_ = 0;
};

template <>
struct type_caster<nibble::Scalar> : HeldCaster<nibble::Scalar> {
  static constexpr auto Name = const_name("bool | int | float");
  bool from_python(handle source, std::uint32_t, cleanup_list*) noexcept {
    value = as_scalar(source);
    return value.has_value();
  }
};

template <>
struct type_caster<nibble::Operand> : HeldCaster<nibble::Operand> {
  static constexpr auto Name = const_name("Tensor | bool | int | float");
  bool from_python(handle source, std::uint32_t, cleanup_list*) noexcept {
    if (const nibble::Tensor* tensor = as_tensor(source)) {
      value.emplace(*tensor);
    } else if (const auto scalar = as_scalar(source)) {
      switch (scalar->kind()) {
        case nibble::Scalar::Kind::boolean: value.emplace(scalar->as_int() != 0); break;
        case nibble::Scalar::Kind::integer: value.emplace(scalar->as_int()); break;
        case nibble::Scalar::Kind::floating: value.emplace(scalar->as_double());
      }
    }
    return value.has_value();
  }
};

template <>
struct type_caster<nibble::Position> : HeldCaster<nibble::Position> {
  static constexpr auto Name = const_name("Tensor | int");
  bool from_python(handle source, std::uint32_t, cleanup_list*) noexcept {
    if (const nibble::Tensor* tensor = as_tensor(source)) {
      value.emplace(*tensor);
    } else if (const auto scalar = as_scalar(source); scalar && scalar->kind() == nibble::Scalar::Kind::integer) {
      value.emplace(scalar->as_int());
    }
    return value.has_value();
  }
};

template <>
struct type_caster<std::span<const nibble::Tensor>> {
  using Value = std::span<const nibble::Tensor>;
  static constexpr auto Name = const_name("collections.abc.Sequence[Tensor]");
  template <class>
  using Cast = Value;
  template <class>
  static constexpr bool can_cast() {
    return true;
  }
  bool from_python(handle source, std::uint32_t, cleanup_list*) noexcept {
    if (!PyTuple_Check(source.ptr()) && !PyList_Check(source.ptr())) return false;
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(source.ptr());
    for (Py_ssize_t i = 0; i < count; ++i) {
      const nibble::Tensor* tensor = as_tensor(PySequence_Fast_GET_ITEM(source.ptr(), i));
      if (!tensor) return false;
      tensors_.push_back(*tensor);
    }
    return true;
  }
  explicit operator Value() const { return tensors_; }

 private:
  std::vector<nibble::Tensor> tensors_;
};

}  // namespace detail
}  // namespace nanobind
