#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "nibble/device.h"
#include "nibble/export.h"
#include "nibble/tensor.h"

// Vulkan's handles as its own header declares them, which need not be included.
struct VkInstance_T;
struct VkPhysicalDevice_T;
struct VkDevice_T;
struct VkQueue_T;
struct VkSemaphore_T;
struct VkBuffer_T;

/// What only Vulkan devices have: a reason to be missing, a clock of their own, and other programs' handles. A program
/// that has a device already lets nibble compute there, in order with what it does itself.
namespace nibble {
inline namespace v0 {

/// Why there is no Vulkan device, or one less: "no Vulkan loader (libvulkan.so.1)"; empty where nothing is missing.
NIBBLE_API std::string vulkan_absence();

/// Bytes of a device's own memory that nobody uses at the moment; all that it has, where its driver does not tell.
/// Throws Error(invalid_argument) for the CPU, Error(unsupported) where there is no such device.
NIBBLE_API std::uint64_t free_memory(Device device);

/// What a device spent on one of its kernels.
struct KernelTime {
  std::string kernel;  ///< by its shader: "lanes_affine"; "copy" between buffers
  std::int64_t runs = 0;
  double seconds = 0;  ///< of all runs, by the device's clock
};
/// Calls `work`, waits, and tells what of it the device spent its time on, the longest first. Kernels run one after
/// another meanwhile, so that their times add up; one call at a time. Throws Error(unsupported) where the device has no
/// clock, as the CPU.
NIBBLE_API std::vector<KernelTime> profile(Device device, const std::function<void()>& work);

/// Command buffers that a device was sent so far: operations are recorded, and submitted many at a time. Throws
/// Error(invalid_argument) for the CPU.
NIBBLE_API std::uint64_t submissions(Device device);

/// A device of the host program's, made through the system's loader (libvulkan.so.1). It must have been created for
/// Vulkan 1.2 with the features shaderInt64, storageBuffer16BitAccess, storageBuffer8BitAccess, bufferDeviceAddress and
/// timelineSemaphore.
struct VulkanHandles {
  VkInstance_T* instance = nullptr;
  VkPhysicalDevice_T* physical_device = nullptr;
  VkDevice_T* device = nullptr;
  VkQueue_T* queue = nullptr;          ///< one that computes
  std::uint32_t queue_family = 0;      ///< its family
  std::mutex* queue_in_use = nullptr;  ///< held while nibble submits, where the host submits to the queue as well
};

/// Makes it one of nibble's devices, behind all others. Throws Error(invalid_argument) where a handle is missing,
/// Error(unsupported) naming what the physical device lacks, or where nibble was built without Vulkan.
NIBBLE_API Device adopt_vulkan_device(const VulkanHandles& handles);
/// Waits for what runs there and gives back all that nibble made on it; the host may destroy it then. Its place in
/// devices() stays empty. Throws Error(invalid_argument) for a device that was not adopted, or where tensors live on
/// it.
NIBBLE_API void release_vulkan_device(Device device);

/// What is called from now on runs when the host's timeline semaphore has reached `value`.
NIBBLE_API void wait_for_semaphore(Device device, VkSemaphore_T* timeline, std::uint64_t value);
/// Submits what has been called so far; the host's timeline semaphore gets `value` when it is done.
NIBBLE_API void signal_semaphore(Device device, VkSemaphore_T* timeline, std::uint64_t value);

/// Where the bytes of a contiguous dense tensor lie. They are the tensor's for as long as it lives.
struct VulkanBuffer {
  VkBuffer_T* buffer = nullptr;
  std::uint64_t offset = 0, bytes = 0;
  std::uint64_t address = 0;  ///< the same place as shaders name it
};
/// Throws Error(unsupported) for a tensor that is packed, strided or not on a Vulkan device.
NIBBLE_API VulkanBuffer vulkan_buffer(const Tensor& tensor);

}  // namespace v0
}  // namespace nibble
