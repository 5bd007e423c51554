#include "nibble/recording.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/layout.h"
#include "dispatch/route.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {

namespace {

constexpr int kMostTries = 2;

}  // namespace

struct Recording::Impl {
  detail::Backend& backend;
  Work work;
  std::vector<Tensor> inputs = {}, outputs = {};
  std::unique_ptr<detail::Repeatable> kept = {};
  int tries = 0;

  void record() {
    ++tries;
    kept = backend.record([this] { outputs = work(inputs); });
  }

  /// Writes what `from` holds over an input.
  void write(const Tensor& from, const Tensor& input) {
    if (from.device() == input.device()) return backend.copy(from, input);
    const Tensor bytes = detail::contiguous_dense(from.to(Device::cpu()));
    detail::count(detail::counters().bytes_moved, bytes.nbytes());
    backend.upload(detail::bytes_of(bytes), input);
  }
};

Recording::Recording(Device device, std::span<const Tensor> inputs, Work work)
    : impl_(new Impl{detail::backend_for(device), std::move(work)}) {
  for (const Tensor& input : inputs) {
    if (input.is_quantized()) {
      throw Error(ErrorCode::unsupported, fmt::format("[recording] input {} is packed", describe(input)));
    }
    impl_->inputs.push_back(impl_->backend.allocate(input.shape(), input.dtype()));
    impl_->write(input, impl_->inputs.back());
  }
  impl_->record();
}

Recording::~Recording() = default;
Recording::Recording(Recording&&) noexcept = default;
Recording& Recording::operator=(Recording&&) noexcept = default;

bool Recording::is_kept() const { return impl_->kept != nullptr; }
const std::vector<Tensor>& Recording::outputs() const { return impl_->outputs; }

void Recording::run(std::span<const Tensor> inputs) {
  const std::vector<Tensor>& own = impl_->inputs;
  for (std::size_t i = 0; i < std::max(inputs.size(), own.size()); ++i) {
    if (i < std::min(inputs.size(), own.size()) && inputs[i].shape() == own[i].shape() &&
        inputs[i].dtype() == own[i].dtype()) {
      continue;
    }
    throw Error(ErrorCode::shape_mismatch, fmt::format("[recording] input {} is {}, and was {}", i,
                                                       i < inputs.size() ? describe(inputs[i]) : "missing",
                                                       i < own.size() ? describe(own[i]) : "missing"));
  }
  for (std::size_t i = 0; i < own.size(); ++i) impl_->write(inputs[i], own[i]);
  if (impl_->kept && impl_->kept->run()) return;
  // Work that is done for the first time may have moved constants, which it does not again.
  if (!impl_->kept && impl_->tries < kMostTries) return impl_->record();
  impl_->outputs = impl_->work(own);
}

}  // namespace v0
}  // namespace nibble
