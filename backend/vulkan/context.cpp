#include "backend/vulkan/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "nibble/error.h"
#include "quant_tensor/formats/format.h"
#include "quant_tensor/tensor/cached.h"
#include "quant_tensor/tensor/counters.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

DeviceStorage& storage_of(const Tensor& t) { return static_cast<DeviceStorage&>(*t.impl().storage); }

/// The bytes between a dense tensor's first element in memory and its last.
Access reach(const Tensor& t) {
  const TensorImpl& impl = t.impl();
  const auto item = static_cast<std::int64_t>(itemsize(impl.dtype));
  std::int64_t low = impl.offset, high = impl.offset;
  for (int a = 0; a < impl.shape.rank(); ++a) {
    const std::int64_t reach = (impl.shape[a] - 1) * impl.strides[a];
    (reach < 0 ? low : high) += reach;
  }
  Region& region = storage_of(t).region;
  return {&region, region.address() + static_cast<std::uint64_t>(low * item),
          region.address() + static_cast<std::uint64_t>((high + 1) * item)};
}

/// Accesses that most commands have at most.
constexpr std::size_t kOperands = 8;

void append(CachedVector<Access>& accesses, const Tensor& t) {
  if (!t.defined() || t.numel() == 0) return;
  if (!t.is_quantized()) {
    accesses.push_back(reach(t));
    return;
  }
  for (const Tensor& component : t.packing()->components) append(accesses, component);
}

}  // namespace

/// Commands that stay, the errors that they may report and the operations that they are.
class Context::Kept final : public Repeatable {
 public:
  explicit Kept(Context& context) : commands(context.gpu_), context_(context) {
    const std::lock_guard lock(context_.mutex_);
    context_.kept_.reserve(context_.kept_.size() + 1);  // nothing may throw once the commands are told of this
    operations_ = context_.operations();
    context_.commands_.keep(&commands);
    context_.kept_.push_back(this);
    context_.keeping_ = this;
  }
  /// Whether all that was recorded since is in these commands.
  bool end() {
    const std::lock_guard lock(context_.mutex_);
    context_.keeping_ = nullptr;
    operations_ = context_.operations() - operations_;
    return context_.commands_.stop_keeping();
  }
  ~Kept() override {
    const std::lock_guard lock(context_.mutex_);
    commands.end();
    std::erase(context_.kept_, this);
    for (auto& [address, held] : commands.held) {
      held.region.used = std::max(held.region.used, commands.batch);
      if (held.is_given_back) context_.release(held.region);
    }
  }

  bool run() override {
    const std::lock_guard lock(context_.mutex_);
    if (!context_.commands_.submit_again(commands)) return false;
    for (Ticket& ticket : tickets) {
      ticket.batch = commands.batch;
      context_.tickets_.push_back(ticket);
    }
    count(counters().ops_vulkan[context_.device_.index], operations_);
    return true;
  }

  KeptCommands commands;
  std::vector<Ticket> tickets;

 private:
  Context& context_;
  std::uint64_t operations_ = 0;
};

DeviceStorage::DeviceStorage(Context& context, Region in, std::size_t bytes)
    // The address is never followed on the host.
    : Storage(reinterpret_cast<void*>(in.address()), bytes, context.device(), true, {}), region(in), context_(context) {
  count_allocated(bytes);
}

DeviceStorage::~DeviceStorage() {
  count_freed(bytes());
  context_.release(region);
}

Context::Context(Device device, const FoundDevice& found, const VulkanHandles* host)
    : device_(device),
      gpu_(found, host),
      memory_(gpu_),
      commands_(gpu_),
      pipelines_(gpu_),
      staging_(memory_, commands_),
      error_(memory_.allocate(16, Memory::Kind::host)) {
  std::memset(error_.mapped(), 0, 16);
  own_bytes_ = memory_.stats().taken;
}

void Context::wait_for(Gpu::Moment moment) {
  const std::lock_guard lock(mutex_);
  commands_.wait_for(moment);
}

void Context::signal(Gpu::Moment moment) {
  const std::lock_guard lock(mutex_);
  commands_.signal(moment);
}

VulkanBuffer Context::buffer_of(const Tensor& contiguous) {
  const Region& region = storage_of(contiguous).region;
  const auto begin = reinterpret_cast<std::uint64_t>(bytes_of(contiguous));
  return {region.block->buffer, begin - region.block->address, contiguous.nbytes(), begin};
}

void Context::close() {
  const std::lock_guard lock(mutex_);
  if (memory_.stats().taken != own_bytes_) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("[device] {}: {} bytes of tensors live there", nibble::to_string(device_),
                            memory_.stats().taken - own_bytes_));
  }
  if (!gpu_.is_lost()) commands_.finish();
}

Tensor Context::allocate(const Shape& shape, DType dtype) {
  const std::size_t bytes = checked_bytes("allocate", shape, dtype);
  const std::lock_guard lock(mutex_);
  gpu_.require_alive();
  Region region;
  try {
    region = memory_.allocate(bytes);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::out_of_memory) throw;
    // Blocks that have become empty may make room.
    commands_.finish();
    memory_.trim();
    region = memory_.allocate(bytes);
  }
  return make_tensor(
      {shape, contiguous_strides(shape), 0, dtype, make_cached<DeviceStorage>(*this, region, bytes), nullptr});
}

void Context::release(const Region& region) noexcept {
  const std::lock_guard lock(mutex_);
  const bool held =
      std::any_of(kept_.begin(), kept_.end(), [&](Kept* kept) { return kept->commands.hold_back(region); });
  if (!held) memory_.free(region);
}

void Context::upload(const void* data, const Tensor& to) {
  if (to.numel() == 0) return;
  const std::lock_guard lock(mutex_);
  if (commands_.is_keeping()) commands_.submit();  // what the host writes is not written again
  const Access access = reach(to);
  const std::uint64_t in_use = std::max(access.region->used, commands_.host_writes_until());
  if (access.region->mapped() && commands_.reached(in_use)) {
    std::memcpy(access.region->mapped() + (access.begin - access.region->address()), data, access.end - access.begin);
  } else {
    staging_.upload(static_cast<const std::byte*>(data), access);
  }
}

void Context::download(const Tensor& from, void* out) {
  if (from.numel() == 0) return;
  const std::lock_guard lock(mutex_);
  if (commands_.is_keeping()) commands_.submit();  // what the host does with it is not done again
  const Access access = reach(from);
  if (access.region->mapped() && access.region->block->quick_to_read) {
    wait(std::max(access.region->written, commands_.host_writes_until()));
    std::memcpy(out, access.region->mapped() + (access.begin - access.region->address()), access.end - access.begin);
  } else {
    staging_.download(access, static_cast<std::byte*>(out));
    throw_reported();
  }
  pipelines_.save();
}

void Context::copy(const Tensor& from, const Tensor& to) {
  const std::lock_guard lock(mutex_);
  commands_.copy(reach(from), reach(to));
}

void Context::dispatch(const Variant& variant, std::span<const std::byte> arguments, const Commands::Groups& groups,
                       std::span<const Tensor> reads, std::span<const Tensor> writes,
                       std::span<const VkBufferView> texels) {
  const std::lock_guard lock(mutex_);
  CachedVector<Access> read, written;
  read.reserve(kOperands);
  written.reserve(kOperands);
  for (const Tensor& t : reads) append(read, t);
  for (const Tensor& t : writes) append(written, t);
  // Views begin with the buffer, and what a validation layer knows of them is that they see all of it.
  for (Access& access : read) {
    const Block& block = *access.region->block;
    if (!texels.empty()) access = {access.region, block.address, block.address + block.bytes};
  }
  commands_.dispatch(variant.shader, pipelines_.get(variant), pipelines_.layout(), arguments, groups, read, written,
                     texels);
}

std::optional<Context::Texels> Context::texels(const Tensor& t) {
  const Features& features = gpu_.found().features;
  const Access access = reach(t);
  Block& block = *access.region->block;
  if (!features.texels || access.end - block.address > features.texel_view_bytes) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return Texels{memory_.texels(block), block.address};
}

std::uint64_t Context::operations() const { return counters().ops_vulkan[device_.index].load(); }

std::unique_ptr<Repeatable> Context::record(const std::function<void()>& work) {
  auto kept = std::make_unique<Kept>(*this);
  try {
    work();
  } catch (...) {
    kept->end();
    throw;
  }
  return kept->end() ? std::move(kept) : nullptr;
}

std::vector<KernelTime> Context::profile(const std::function<void()>& work) {
  Profile profile(gpu_);
  const auto time_with = [&](Profile* used) {
    const std::lock_guard lock(mutex_);
    commands_.time_with(used);
    commands_.finish();
  };
  time_with(&profile);
  try {
    work();
  } catch (...) {
    time_with(nullptr);
    throw;
  }
  time_with(nullptr);
  return profile.times();
}

Commands::Groups Context::spread(std::uint64_t workgroups) const {
  const std::uint64_t most = gpu_.found().features.most_workgroups;
  const std::uint64_t rows = (workgroups + most - 1) / most;
  if (rows <= 1) return {static_cast<std::uint32_t>(workgroups), 1, 1};
  return {static_cast<std::uint32_t>((workgroups + rows - 1) / rows), static_cast<std::uint32_t>(rows), 1};
}

std::uint32_t Context::ticket(std::string_view op, std::string_view operand, const Tensor& t, std::int64_t count) {
  const std::lock_guard lock(mutex_);
  // 0 means that nothing was reported.
  if (++last_ticket_ == 0) ++last_ticket_;
  const std::string_view type = t.is_quantized() ? t.packing()->format->name : name(t.dtype());
  tickets_.push_back({last_ticket_, op, operand, type, t.shape(), count, commands_.submitted() + 1});
  if (keeping_) keeping_->tickets.push_back(tickets_.back());
  return last_ticket_;
}

void Context::wait(std::uint64_t batch) {
  commands_.wait(batch);
  throw_reported();
}

void Context::throw_reported() {
  if (const std::string said = Instance::get().take_messages(); !said.empty()) {
    throw Error(ErrorCode::unsupported, "[vulkan] validation: " + said);
  }
  struct Report {
    std::uint32_t ticket, pad;
    std::int64_t index;
  } report{};
  std::memcpy(&report, error_.mapped(), sizeof report);
  if (report.ticket == 0) {
    while (!tickets_.empty() && commands_.reached(tickets_.front().batch)) tickets_.pop_front();
    return;
  }
  std::memset(error_.mapped(), 0, sizeof report);
  for (const Ticket& ticket : tickets_) {
    if (ticket.number != report.ticket) continue;
    throw Error(ErrorCode::out_of_range, fmt::format("[{}] {} {} {}: index {} of {} entries", ticket.op, ticket.operand,
                                                     ticket.type, to_string(ticket.shape), report.index, ticket.count));
  }
}

std::uint64_t Context::submissions() {
  const std::lock_guard lock(mutex_);
  return commands_.submitted();
}

MemoryStats Context::memory_stats() {
  const std::lock_guard lock(mutex_);
  return memory_.stats();
}

}  // namespace nibble::inline v0::detail::vulkan
