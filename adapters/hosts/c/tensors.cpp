#include <fmt/format.h>

#include "adapters/hosts/c/handles.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble {
namespace hosts {
namespace {

/// A host's buffer, released with its last reader; not where adopting it failed.
class Adopted {
 public:
  explicit Adopted(const nibble_buffer& buffer) : release_(buffer.release), user_(buffer.user) {}
  ~Adopted() {
    if (armed_ && release_) release_(user_);
  }
  Adopted(const Adopted&) = delete;
  Adopted& operator=(const Adopted&) = delete;
  void arm() noexcept { armed_ = true; }

 private:
  void (*release_)(void*);
  void* user_;
  bool armed_ = false;
};

Tensor over(std::shared_ptr<const void> owner, const nibble_buffer& buffer) {
  const Shape shape = shape_of(buffer.shape);
  const DType dtype = dtype_of_number(buffer.dtype);
  if (shape.numel() != 0) required(buffer.data, "nibble_buffer.data");
  if (buffer.strides.count == 0) return from_borrowed(std::move(owner), buffer.data, shape, dtype);
  return from_borrowed(std::move(owner), buffer.data, shape, shape_of(buffer.strides), dtype);
}

nibble_status tensor_borrow(nibble_context* context, const nibble_buffer* buffer, nibble_tensor** out,
                            nibble_error** error) {
  return guarded(context, error, [&] {
    const nibble_buffer given = sized(buffer, "nibble_buffer");
    const auto owner = std::make_shared<Adopted>(given);
    give(over(owner, given), out);
    owner->arm();
  });
}

nibble_status tensor_copy(nibble_context* context, const nibble_buffer* buffer, nibble_tensor** out,
                          nibble_error** error) {
  return guarded(context, error, [&] {
    const Tensor lent = contiguous(over(nullptr, sized(buffer, "nibble_buffer")));
    give(from_data(lent.raw_data(), lent.shape(), lent.dtype()), out);
  });
}

void copy_text(const std::string& text, char* to, std::size_t capacity) {
  if (capacity == 0) return;
  const std::size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

nibble_tensor_info info_of(const Tensor& x) {
  nibble_tensor_info info{};
  info.dtype = static_cast<nibble_dtype>(x.dtype());
  info.rank = x.ndim();
  std::copy(x.shape().begin(), x.shape().end(), info.shape);
  info.bytes = x.nbytes();
  copy_text(to_string(x.device()), info.device, sizeof info.device);
  if (x.is_quantized()) {
    const PackingView view = packing_of(x);
    info.is_packed = 1;
    info.packed_axis = view.axis;
    copy_text(view.format.name, info.format, sizeof info.format);
  } else if (x.device() == Device::cpu()) {
    const Strides strides = memory_layout(x).strides;
    std::copy(strides.begin(), strides.end(), info.strides);
  }
  return info;
}

nibble_status tensor_info(nibble_context* context, const nibble_tensor* x, nibble_tensor_info* out,
                          nibble_error** error) {
  return guarded(context, error, [&] { fill(info_of(tensor_of(x)), out, "nibble_tensor_info"); });
}

nibble_status tensor_read(nibble_context* context, const nibble_tensor* handle, void* out, std::size_t bytes,
                          nibble_error** error) {
  return guarded(context, error, [&] {
    const Tensor& x = tensor_of(handle);
    const std::size_t wanted = static_cast<std::size_t>(x.numel()) * itemsize(x.dtype());
    if (bytes != wanted) {
      refuse(ErrorCode::invalid_argument,
             fmt::format("[tensor_read] {}: is {} bytes, not {}", describe(x), wanted, bytes));
    }
    if (bytes > 0) x.copy_out(required(out, "out"), x.dtype());
  });
}

nibble_status tensor_data(nibble_context* context, const nibble_tensor* x, const void** out, nibble_error** error) {
  return guarded(context, error, [&] { *required(out, "out") = memory_layout(tensor_of(x)).data; });
}

nibble_status tensor_describe(nibble_context* context, const nibble_tensor* x, char* text, std::size_t capacity,
                              std::size_t* needed, nibble_error** error) {
  return guarded(context, error, [&] {
    const std::string description = describe(tensor_of(x));
    if (capacity > 0) copy_text(description, required(text, "text"), capacity);
    if (needed) *needed = description.size() + 1;
  });
}

}  // namespace

void add_tensors(nibble_api& api) {
  api.tensor_borrow = tensor_borrow;
  api.tensor_copy = tensor_copy;
  api.tensor_to_device = [](nibble_context* context, const nibble_tensor* x, const char* device, nibble_tensor** out,
                            nibble_error** error) {
    return guarded(context, error, [&] { give(tensor_of(x).to(Device::parse(required(device, "device"))), out); });
  };
  api.tensor_share = [](nibble_context* context, const nibble_tensor* x, nibble_tensor** out, nibble_error** error) {
    return guarded(context, error, [&] { give(tensor_of(x), out); });
  };
  api.tensor_release = [](nibble_context*, nibble_tensor* tensor) { delete tensor; };
  api.tensor_info = tensor_info;
  api.tensor_read = tensor_read;
  api.tensor_data = tensor_data;
  api.tensor_describe = tensor_describe;
}

}  // namespace hosts
}  // namespace nibble
