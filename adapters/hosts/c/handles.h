#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>

#include "nibble/error.h"
#include "nibble/io.h"
#include "nibble/memory.h"
#include "nibble/nibble.h"
#include "nibble/options.h"
#include "nibble/tensor.h"

// What the handles of nibble.h are.

struct nibble_tensor {
  nibble::Tensor tensor;
};

struct nibble_tensors {
  nibble::TensorMap map;
};

struct nibble_error {
  nibble_status code;
  std::string message;
};

struct nibble_context {
  nibble::Options options;
  nibble::Executor executor;
  std::shared_ptr<const nibble::Allocator> allocator;
  nibble_logger logger{};
};

namespace nibble {
namespace hosts {

[[noreturn]] void refuse(ErrorCode code, const std::string& text);

/// Runs body(data) under the context's options; what it throws becomes an error object and a status.
nibble_status run_guarded(const nibble_context* context, nibble_error** error, void (*body)(void*),
                          void* data) noexcept;
template <class Body>
nibble_status guarded(const nibble_context* context, nibble_error** error, Body&& body) noexcept {
  using Plain = std::remove_reference_t<Body>;
  return run_guarded(
      context, error, [](void* data) { (*static_cast<Plain*>(data))(); }, &body);
}

/// A caller's structure as this library knows it: what a shorter one lacks is zero, and what a longer one has beyond
/// must be.
template <class T>
T sized(const T* from, const char* name) {
  if (!from || from->struct_size < sizeof(from->struct_size)) {
    refuse(ErrorCode::invalid_argument, std::string("[") + name + "] struct_size must be the structure's size");
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  for (std::size_t i = sizeof(T); i < from->struct_size; ++i) {
    if (bytes[i] != 0) {
      refuse(ErrorCode::unsupported, std::string("[") + name + "] sets a field that this version does not know");
    }
  }
  T to{};
  std::memcpy(&to, from, std::min(sizeof(T), from->struct_size));
  to.struct_size = sizeof(T);
  return to;
}

/// Fills a caller's structure as far as the caller knows it.
template <class T>
void fill(T value, T* to, const char* name) {
  if (!to || to->struct_size < sizeof(to->struct_size)) {
    refuse(ErrorCode::invalid_argument, std::string("[") + name + "] struct_size must be the structure's size");
  }
  value.struct_size = to->struct_size;
  std::memcpy(static_cast<void*>(to), &value, std::min(sizeof(T), to->struct_size));
}

/// The tensor of a handle, of NULL an undefined one.
inline const Tensor& tensor_of(const nibble_tensor* handle) {
  static const Tensor undefined;
  return handle ? handle->tensor : undefined;
}

/// Throws for a result that has nowhere to go.
template <class T>
T* required(T* pointer, const char* name) {
  if (!pointer) refuse(ErrorCode::invalid_argument, std::string("[") + name + "] must not be NULL");
  return pointer;
}

inline void give(Tensor tensor, nibble_tensor** out) { *required(out, "out") = new nibble_tensor{std::move(tensor)}; }

Shape shape_of(nibble_dims dims);
DType dtype_of_number(nibble_dtype dtype);

// The parts of the table.
extern const nibble_ops kOpEntries;
void add_context(nibble_api& api);
void add_tensors(nibble_api& api);
void add_packed(nibble_api& api);
void add_files(nibble_api& api);
void add_queries(nibble_api& api);
void add_vulkan(nibble_api& api);

}  // namespace hosts
}  // namespace nibble
