#include "backend/vulkan/cache_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "backend/vulkan/digest.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

struct Header {
  std::uint64_t magic, key, bytes, digest;
};
constexpr std::uint64_t kMagic = 0x31'65'6c'62'62'69'6e;  // "nibble1"

Header header_of(std::uint64_t key, std::span<const std::byte> data) {
  Digest digest;
  digest.add(data);
  return {kMagic, key, data.size(), digest.value()};
}

}  // namespace

std::vector<std::byte> CacheFile::read() const noexcept try {
  if (path_.empty()) return {};
  std::ifstream file(path_, std::ios::binary);
  Header found{};
  if (!file.read(reinterpret_cast<char*>(&found), sizeof found)) return {};
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path_, error);
  if (error || size != sizeof found + found.bytes) return {};
  std::vector<std::byte> data(found.bytes);
  if (!file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size()))) return {};
  const Header wanted = header_of(key_, data);
  if (std::memcmp(&found, &wanted, sizeof found) != 0) return {};
  return data;
} catch (...) {
  return {};
}

void CacheFile::write(std::span<const std::byte> data) const noexcept try {
  if (path_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(path_.parent_path(), error);
  std::filesystem::path draft = path_;
  draft += fmt::format(".{}", getpid());
  const Header header = header_of(key_, data);
  {
    std::ofstream file(draft, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    file.flush();
    if (!file) error = std::make_error_code(std::errc::io_error);
  }
  if (!error) std::filesystem::rename(draft, path_, error);
  if (error) std::filesystem::remove(draft, error);
} catch (...) {
}

std::filesystem::path user_cache_folder() {
  const auto place = [](const char* variable) {
    const char* text = std::getenv(variable);
    const std::filesystem::path path = text != nullptr ? text : "";
    return path.is_absolute() ? path : std::filesystem::path();
  };
  if (const auto caches = place("XDG_CACHE_HOME"); !caches.empty()) return caches / "nibble";
  if (const auto home = place("HOME"); !home.empty()) return home / ".cache" / "nibble";
  return {};
}

}  // namespace nibble::inline v0::detail::vulkan
