#include "dispatch/constants.h"

#include <algorithm>
#include <limits>
#include <list>
#include <mutex>

#include "dispatch/layout.h"
#include "nibble/error.h"
#include "nibble/transfer.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

/// The copies of dense constants; those of a packed tensor's components are shared by all its views.
class Copies {
 public:
  static Copies& get() {
    static auto* const copies = new Copies;  // never destroyed: static tensors may outlive any order of destruction
    return *copies;
  }

  Tensor on(Device device, const Tensor& t) {
    const std::lock_guard lock(mutex_);
    copies_.remove_if([](const Copy& copy) { return copy.of.expired(); });
    const auto found =
        std::find_if(copies_.begin(), copies_.end(), [&](const Copy& copy) { return copy.is_of(t, device); });
    if (found != copies_.end()) {
      copies_.splice(copies_.begin(), copies_, found);
      return found->copy;
    }
    const TensorImpl& impl = t.impl();
    Copy made{impl.storage, impl.shape, impl.strides, impl.offset, moved(t, device)};
    Tensor result = made.copy;
    if (made.copy.nbytes() <= budget_) copies_.push_front(std::move(made));
    keep_within_budget(device);
    return result;
  }

  void forget(const Storage* storage) {
    const std::lock_guard lock(mutex_);
    copies_.remove_if([&](const Copy& copy) { return copy.of.lock().get() == storage; });
  }

  void set_budget(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    budget_ = bytes;
    std::list<Device> devices;
    for (const Copy& copy : copies_) devices.push_back(copy.copy.device());
    for (const Device device : devices) keep_within_budget(device);
  }

  std::uint64_t bytes(Device device) {
    const std::lock_guard lock(mutex_);
    copies_.remove_if([](const Copy& copy) { return copy.of.expired(); });
    return held(device);
  }

 private:
  struct Copy {
    std::weak_ptr<Storage> of;
    Shape shape;
    Strides strides;
    std::int64_t offset;
    Tensor copy;

    bool is_of(const Tensor& t, Device device) const {
      const TensorImpl& impl = t.impl();
      return copy.device() == device && of.lock() == impl.storage && offset == impl.offset && shape == impl.shape &&
             strides == impl.strides && copy.dtype() == impl.dtype;
    }
  };

  /// Where there is no room, copies leave until there is.
  Tensor moved(const Tensor& t, Device device) {
    while (true) {
      try {
        return t.to(device);
      } catch (const Error& e) {
        if (e.code() != ErrorCode::out_of_memory || !drop_last(device)) throw;
      }
    }
  }
  bool drop_last(Device device) {
    const auto last =
        std::find_if(copies_.rbegin(), copies_.rend(), [&](const Copy& c) { return c.copy.device() == device; });
    if (last == copies_.rend()) return false;
    copies_.erase(std::next(last).base());
    return true;
  }
  std::uint64_t held(Device device) const {
    std::uint64_t total = 0;
    for (const Copy& copy : copies_) total += copy.copy.device() == device ? copy.copy.nbytes() : 0;
    return total;
  }
  void keep_within_budget(Device device) {
    while (held(device) > budget_) drop_last(device);
  }

  std::mutex mutex_;
  std::uint64_t budget_ = std::numeric_limits<std::uint64_t>::max();
  std::list<Copy> copies_;  // last used first
};

}  // namespace

bool is_constant(const Tensor& t) { return t.is_quantized() || !t.impl().storage->writable(); }

Tensor copy_on(Device device, const Tensor& constant) {
  if (!constant.is_quantized()) return Copies::get().on(device, constant);
  return over_other_parts(constant, [&](const Tensor& part) { return Copies::get().on(device, part); });
}

void forget_copies(const Tensor& packed) {
  for (const Tensor& component : packed.packing()->components) Copies::get().forget(component.impl().storage.get());
}

}  // namespace detail

void set_transfer_budget(std::uint64_t bytes) { detail::Copies::get().set_budget(bytes); }
std::uint64_t transferred_bytes(Device device) { return detail::Copies::get().bytes(device); }

}  // namespace v0
}  // namespace nibble
