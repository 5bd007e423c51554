#pragma once

#include <gtest/gtest.h>
#include <volk.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "nibble/vulkan.h"

namespace nibble::tests {

/// A program's own instance, device and queue, with what nibble asks of them, on the first physical device. What the
/// validation layer says of them, where NIBBLE_VULKAN_VALIDATION asks for it, fails the test.
class HostDevice {
 public:
  HostDevice() {
    EXPECT_EQ(volkInitialize(), VK_SUCCESS);
    make_instance();
    std::uint32_t count = 1;
    vkEnumeratePhysicalDevices(instance_, &count, &physical_);
    make_device();
    volkLoadDeviceTable(&call_, device_);
    call_.vkGetDeviceQueue(device_, 0, 0, &queue_);
  }
  ~HostDevice() {
    call_.vkDestroyDevice(device_, nullptr);
    if (messenger_) vkDestroyDebugUtilsMessengerEXT(instance_, messenger_, nullptr);
    vkDestroyInstance(instance_, nullptr);
    EXPECT_EQ(messages_, "");
  }
  HostDevice(const HostDevice&) = delete;
  HostDevice& operator=(const HostDevice&) = delete;

  VulkanHandles handles() const { return {instance_, physical_, device_, queue_, 0, nullptr}; }
  VkDevice device() const { return device_; }
  VkQueue queue() const { return queue_; }
  const VolkDeviceTable& call() const { return call_; }

  VkSemaphore make_timeline() const {
    VkSemaphoreTypeCreateInfo type{};
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    VkSemaphoreCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
    info.pNext = &type;
    VkSemaphore timeline = nullptr;
    EXPECT_EQ(call_.vkCreateSemaphore(device_, &info, nullptr, &timeline), VK_SUCCESS);
    return timeline;
  }

 private:
  void make_instance() {
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.apiVersion = VK_API_VERSION_1_2;
    VkInstanceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    const char* layer = "VK_LAYER_KHRONOS_validation";
    const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    VkDebugUtilsMessengerCreateInfoEXT messenger{};
    messenger.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
    messenger.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    messenger.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
    messenger.pfnUserCallback = hear;
    messenger.pUserData = this;
    const VkValidationFeatureEnableEXT synchronization = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT validation{};
    validation.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
    validation.enabledValidationFeatureCount = 1;
    validation.pEnabledValidationFeatures = &synchronization;
    const bool validates = std::getenv("NIBBLE_VULKAN_VALIDATION") != nullptr;
    if (validates) {
      info.pNext = &validation;
      info.enabledLayerCount = 1;
      info.ppEnabledLayerNames = &layer;
      info.enabledExtensionCount = 1;
      info.ppEnabledExtensionNames = &extension;
    }
    ASSERT_EQ(vkCreateInstance(&info, nullptr, &instance_), VK_SUCCESS);
    volkLoadInstanceOnly(instance_);
    if (validates) {
      ASSERT_EQ(vkCreateDebugUtilsMessengerEXT(instance_, &messenger, nullptr, &messenger_), VK_SUCCESS);
    }
  }

  void make_device() {
    VkPhysicalDeviceVulkan12Features v12{};
    v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    v12.storageBuffer8BitAccess = v12.bufferDeviceAddress = v12.timelineSemaphore = VK_TRUE;
    VkPhysicalDeviceVulkan11Features v11{};
    v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    v11.pNext = &v12;
    v11.storageBuffer16BitAccess = VK_TRUE;
    VkPhysicalDeviceFeatures2 features{};
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    features.pNext = &v11;
    features.features.shaderInt64 = VK_TRUE;
    const float priority = 1;
    VkDeviceQueueCreateInfo queue{};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = &features;
    info.queueCreateInfoCount = 1;
    info.pQueueCreateInfos = &queue;
    ASSERT_EQ(vkCreateDevice(physical_, &info, nullptr, &device_), VK_SUCCESS);
  }

  static VkBool32 hear(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                       const VkDebugUtilsMessengerCallbackDataEXT* data, void* self) {
    static_cast<HostDevice*>(self)->messages_ += data->pMessage;
    return VK_FALSE;
  }

  VkInstance instance_ = nullptr;
  VkDebugUtilsMessengerEXT messenger_ = nullptr;
  VkPhysicalDevice physical_ = nullptr;
  VkDevice device_ = nullptr;
  VkQueue queue_ = nullptr;
  VolkDeviceTable call_{};
  std::string messages_;
};

}  // namespace nibble::tests
