#include "backend/vulkan/commands.h"

#include <algorithm>
#include <utility>

namespace nibble::inline v0::detail::vulkan {
namespace {

/// Commands in the first batch after a wait, and in any: few at first, so that the device starts early, then twice as
/// many each time, so that submitting costs little.
constexpr int kFirstBatch = 128, kLargestBatch = 1024;

constexpr VkPipelineStageFlags kWork = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkAccessFlags kWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
constexpr VkAccessFlags kReads = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;

}  // namespace

Commands::Commands(Gpu& gpu) : gpu_(gpu), batch_(kFirstBatch) {
  for (CommandPool& slot : slots_) slot = make_command_pool(gpu, VK_COMMAND_POOL_CREATE_TRANSIENT_BIT);
}

Commands::~Commands() {
  for (CommandPool& slot : slots_) gpu_.call().vkDestroyCommandPool(gpu_.handle(), slot.pool, nullptr);
}

VkCommandBuffer Commands::recording() {
  gpu_.require_alive();
  if (ended_ || (kept_ && kept_->recorder != std::this_thread::get_id())) submit();
  if (begun_) return buffer_;
  const CommandPool& slot = slots_[open_ % kSlots];
  if (open_ > kSlots) gpu_.wait(open_ - kSlots);
  begin(slot.pool, slot.buffer, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT);
  return buffer_;
}

void Commands::begin(VkCommandPool pool, VkCommandBuffer buffer, VkCommandBufferUsageFlags usage) {
  check(gpu_.call().vkResetCommandPool(gpu_.handle(), pool, 0), "starting a batch");
  VkCommandBufferBeginInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  info.flags = usage;
  check(gpu_.call().vkBeginCommandBuffer(buffer, &info), "starting a batch");
  begun_ = true;
  ended_ = false;
  buffer_ = buffer;
  bound_ = nullptr;
  // Whatever earlier batches wrote is seen by this one.
  barrier(kWork, kReads | kWrites);
}

void Commands::barrier(VkPipelineStageFlags to, VkAccessFlags access) {
  VkMemoryBarrier memory{};
  memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  memory.srcAccessMask = kWrites;
  memory.dstAccessMask = access;
  gpu_.call().vkCmdPipelineBarrier(buffer_, kWork, to, 0, 1, &memory, 0, nullptr, 0, nullptr);
  read_.clear();
  written_.clear();
}

void Commands::order(std::span<const Access> reads, std::span<const Access> writes) {
  const auto meets = [](std::span<const Access> now, const std::vector<Range>& before) {
    return std::any_of(now.begin(), now.end(), [&](const Access& a) {
      return std::any_of(before.begin(), before.end(),
                         [&](const Range& b) { return a.begin < b.end && b.begin < a.end; });
    });
  };
  if (meets(reads, written_) || meets(writes, written_) || meets(writes, read_)) barrier(kWork, kReads | kWrites);
  for (const Access& a : reads) {
    read_.push_back({a.begin, a.end});
    a.region->used = open_;
    if (kept_) kept_->held.try_emplace(a.region->address());
  }
  for (const Access& a : writes) {
    written_.push_back({a.begin, a.end});
    a.region->used = a.region->written = open_;
    if (kept_) kept_->held.try_emplace(a.region->address());
  }
}

template <class Command>
void Commands::record(std::string_view kernel, const Command& command) {
  if (profile_) {
    barrier(kWork, kReads | kWrites);  // nothing else runs meanwhile
    profile_->begin(buffer_, kernel);
  }
  command(buffer_);
  if (profile_) profile_->end(buffer_);
  if (++count_ < batch_ || kept_) return;
  batch_ = std::min(2 * batch_, kLargestBatch);
  submit();
}

void Commands::dispatch(std::string_view kernel, VkPipeline pipeline, VkPipelineLayout layout,
                        std::span<const std::byte> arguments, const Groups& groups, std::span<const Access> reads,
                        std::span<const Access> writes, std::span<const VkBufferView> texels) {
  const VkCommandBuffer buffer = recording();
  order(reads, writes);
  const VolkDeviceTable& call = gpu_.call();
  if (!texels.empty()) {
    VkWriteDescriptorSet views{};
    views.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
    views.descriptorCount = static_cast<std::uint32_t>(texels.size());
    views.descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
    views.pTexelBufferView = texels.data();
    call.vkCmdPushDescriptorSetKHR(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &views);
  }
  if (pipeline != bound_) call.vkCmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  bound_ = pipeline;
  call.vkCmdPushConstants(buffer, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, static_cast<std::uint32_t>(arguments.size()),
                          arguments.data());
  record(kernel, [&](VkCommandBuffer into) { call.vkCmdDispatch(into, groups[0], groups[1], groups[2]); });
}

void Commands::copy(const Access& from, const Access& to) {
  recording();
  order({&from, 1}, {&to, 1});
  const VkBufferCopy part{from.begin - from.region->block->address, to.begin - to.region->block->address,
                          from.end - from.begin};
  record("copy", [&](VkCommandBuffer into) {
    gpu_.call().vkCmdCopyBuffer(into, from.region->block->buffer, to.region->block->buffer, 1, &part);
  });
}

void Commands::wait_for(Gpu::Moment moment) {
  submit();
  recording();
  gpu_.wait_before_next(moment);
  host_writes_until_ = open_;
}

void Commands::signal(Gpu::Moment moment) {
  recording();
  gpu_.signal_after_next(moment);
  submit();
}

void Commands::submit() {
  if (!begun_) return;
  KeptCommands* const kept = std::exchange(kept_, nullptr);
  if (kept) begun_ = false;  // its buffer may be gone by the time that a submission that fails is tried again
  gpu_.require_alive();
  if (!ended_) {
    barrier(VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    const VkResult result = gpu_.call().vkEndCommandBuffer(buffer_);
    if (result < 0) gpu_.give_up();  // its commands are gone, and what they were to write is never written
    check(result, "ending a batch");
  }
  ended_ = !kept;
  gpu_.submit(buffer_, open_);
  if (kept) kept->batch = open_;
  ++open_;
  begun_ = ended_ = false;
  count_ = 0;
}

void Commands::keep(KeptCommands* kept) {
  submit();
  gpu_.require_alive();
  if (profile_) return;
  begin(kept->pool, kept->buffer, 0);
  kept_ = kept;
}

bool Commands::stop_keeping() {
  const bool whole = kept_ != nullptr;
  submit();
  return whole;
}

bool Commands::submit_again(KeptCommands& kept) {
  submit();
  if (profile_) return false;
  gpu_.wait(kept.batch);  // a buffer is not submitted twice at once
  gpu_.submit(kept.buffer, open_);
  // Which regions it touches is not walked through: whoever waits for any waits for it.
  kept.batch = host_writes_until_ = open_;
  ++open_;
  return true;
}

void Commands::wait(std::uint64_t batch) {
  if (batch >= open_) submit();
  batch_ = kFirstBatch;
  gpu_.wait(std::min(batch, open_ - 1));
}

void Commands::finish() { wait(open_); }

}  // namespace nibble::inline v0::detail::vulkan
