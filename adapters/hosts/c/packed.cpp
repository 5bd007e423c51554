#include <fmt/format.h>

#include <mutex>
#include <set>

#include "adapters/hosts/c/arguments.h"
#include "nibble/error.h"

namespace nibble {
namespace hosts {
namespace {

nibble_status tensor_from_components(nibble_context* context, const nibble_packed* packed, nibble_tensor** out,
                                     nibble_error** error) {
  return guarded(context, error, [&] {
    const nibble_packed p = sized(packed, "nibble_packed");
    if (p.component_count > 0) required(p.components, "nibble_packed.components");
    Components components;
    for (std::size_t i = 0; i < p.component_count; ++i) {
      components.emplace_back(required(p.components[i].name, "nibble_component.name"),
                              tensor_of(p.components[i].tensor));
    }
    give(from_components(required(p.format, "nibble_packed.format"), components, shape_of(p.shape),
                         In<std::optional<DType>>::from(p.dtype)),
         out);
  });
}

Tensor own_copy(const Tensor& dense) {
  const Tensor host = contiguous(dense.to(Device::cpu()));
  return from_data(host.raw_data(), host.shape(), host.dtype());
}

/// The same packed rows over components of our own. They are stored along their packed axis, which the view may have
/// elsewhere: the copy is stored, then turned like the view.
Tensor own_packed_copy(const Tensor& w) {
  PackingView view = packing_of(w);
  for (auto& [name, component] : view.components) component = own_copy(component);
  Shape stored = w.shape();
  stored.erase(view.axis);
  stored.push_back(w.shape()[view.axis]);
  const Tensor copy = from_components(view.format.name, view.components, stored, w.dtype());
  Axes order;
  for (int axis = 0; axis + 1 < w.ndim(); ++axis) order.push_back(axis);
  order.insert(view.axis, w.ndim() - 1);
  return transpose(copy, order);
}

nibble_status tensor_pack(nibble_context* context, const nibble_tensor* handle, const nibble_quantize_params* params,
                          nibble_tensor** out, nibble_error** error) {
  return guarded(context, error, [&] {
    const Tensor& w = tensor_of(handle);
    if (!w.is_quantized()) return give(quantize(w, In<const QuantizeParams&>::from(params)), out);
    if (params) {
      refuse(ErrorCode::invalid_argument,
             fmt::format("[tensor_pack] {}: is packed already; quantize packs it anew", describe(w)));
    }
    give(own_packed_copy(w), out);
  });
}

/// The same text, as long as the library lives: there are as many as formats have components.
const char* kept(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> texts;
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

nibble_status tensor_component(nibble_context* context, const nibble_tensor* x, std::size_t i, const char** name,
                               nibble_tensor** out, nibble_error** error) {
  return guarded(context, error, [&] {
    const PackingView view = packing_of(tensor_of(x));
    if (i >= view.components.size()) {
      refuse(ErrorCode::out_of_range, fmt::format("[tensor_component] {} of {}: has {} components", i,
                                                  describe(tensor_of(x)), view.components.size()));
    }
    if (name) *name = kept(view.components[i].first);
    give(view.components[i].second, out);
  });
}

}  // namespace

void add_packed(nibble_api& api) {
  api.tensor_from_components = tensor_from_components;
  api.tensor_pack = tensor_pack;
  api.tensor_component = tensor_component;
}

}  // namespace hosts
}  // namespace nibble
