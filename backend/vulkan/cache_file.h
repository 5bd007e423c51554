#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace nibble::inline v0::detail::vulkan {

/// A file that saves work, never more than a wish: one that is missing, damaged or of another key holds nothing, and
/// what cannot be written is not.
class CacheFile {
 public:
  /// An empty path is no file.
  CacheFile(std::filesystem::path path, std::uint64_t key) : path_(std::move(path)), key_(key) {}

  std::vector<std::byte> read() const noexcept;
  /// Under another name first, which then takes the file's place: who reads it meanwhile sees the old or the new.
  void write(std::span<const std::byte> data) const noexcept;

 private:
  std::filesystem::path path_;
  std::uint64_t key_;
};

/// The folder "nibble" among the user's caches (XDG_CACHE_HOME, else .cache at home); empty where there is none.
std::filesystem::path user_cache_folder();

}  // namespace nibble::inline v0::detail::vulkan
