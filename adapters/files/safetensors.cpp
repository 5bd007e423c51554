#include "adapters/files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "adapters/files/file_error.h"
#include "adapters/files/safetensors_header.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::uint64_t kLargestHeader = 100'000'000;  // the reference implementation's limit
constexpr std::uint64_t kSmall = 64 << 10;             // bytes of a tensor that may be copied
constexpr std::uint64_t kPrefix = 8;                   // the header's length, a little-endian u64

std::string_view header_of(const MappedFile& file) {
  const std::string_view text = file.text();
  if (text.starts_with("GGUF")) bad_file(file.path(), "", "is a GGUF file, not safetensors");
  if (text.starts_with("PK\x03\x04"))
    bad_file(file.path(), "", "is a zip archive (a PyTorch checkpoint?), not safetensors");
  if (text.starts_with("version https://git-lfs"))
    bad_file(file.path(), "", "is a Git LFS pointer: the file itself was not downloaded (git lfs pull does that)");
  if (text.empty()) bad_file(file.path(), "", "is empty");
  if (text.size() < kPrefix) bad_file(file.path(), "", "truncated: shorter than the header's length");
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), kPrefix);
  if (length > kLargestHeader) {
    bad_file(
        file.path(), "",
        fmt::format("is not a safetensors file, or has a header over 100 MB (its first 8 bytes say {} bytes)", length));
  }
  if (length > text.size() - kPrefix) {
    bad_file(file.path(), "", fmt::format("truncated: header of {} bytes in a file of {}", length, text.size()));
  }
  return text.substr(kPrefix, length);
}

/// The bytes that a shape and dtype take; false where that overflows, also where a zero hides it.
bool byte_size(const Shape& shape, DType dtype, std::uint64_t* bytes) {
  std::uint64_t product = itemsize(dtype);
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size == 0) empty = true;
    if (size > 0 && !multiply_sizes(product, static_cast<std::uint64_t>(size), &product)) return false;
  }
  if (product > static_cast<std::uint64_t>(INT64_MAX)) return false;
  *bytes = empty ? 0 : product;
  return true;
}

void check_duplicates(const std::filesystem::path& path, const std::deque<SafetensorsEntry>& entries) {
  std::vector<std::uint32_t> order(entries.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto name = [&](std::uint32_t i) -> const std::string& { return entries[i].name; };
  std::ranges::sort(order, {}, name);
  const auto twice = std::ranges::adjacent_find(order, {}, name);
  if (twice != order.end()) bad_file(path, name(*twice), "name is there twice");
}

/// Tensors must lie one behind the other from the first byte of the data to the last.
void check_offsets(const std::filesystem::path& path, std::deque<SafetensorsEntry>& entries, std::uint64_t data_begin,
                   std::uint64_t file_size) {
  const std::uint64_t data_size = file_size - data_begin;
  for (const SafetensorsEntry& entry : entries) {
    std::uint64_t bytes = 0;
    if (!byte_size(entry.shape, entry.dtype, &bytes)) bad_file(path, entry.name, "shape overflows");
    if (entry.begin > entry.end) bad_file(path, entry.name, "data_offsets run backwards");
    if (entry.end > data_size) {
      bad_file(path, entry.name,
               fmt::format("data_offsets [{}, {}] are out of range: the file has {} bytes of data (truncated?)",
                           entry.begin, entry.end, data_size));
    }
    if (entry.end - entry.begin != bytes) {
      bad_file(path, entry.name,
               fmt::format("{} {} takes {} bytes, data_offsets give {}", safetensors_name(entry.dtype),
                           to_string(entry.shape), bytes, entry.end - entry.begin));
    }
  }
  std::ranges::sort(entries, {}, [](const SafetensorsEntry& e) { return std::pair(e.begin, e.end); });
  std::uint64_t expected = 0;
  for (SafetensorsEntry& entry : entries) {
    if (entry.begin < expected) bad_file(path, entry.name, "data_offsets overlap another tensor");
    if (entry.begin > expected)
      bad_file(path, entry.name, fmt::format("a hole of {} bytes before it", entry.begin - expected));
    expected = entry.end;
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  if (expected != data_size) bad_file(path, "", fmt::format("{} bytes after the last tensor", data_size - expected));
}

}  // namespace

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path) : file_(MappedFile::open(path)) {
  const std::string_view header = header_of(*file_);
  parse_safetensors_header(path, header, &entries_, &metadata_);
  check_duplicates(path, entries_);
  check_offsets(path, entries_, kPrefix + header.size(), file_->size());
}

Tensor SafetensorsReader::tensor(const SafetensorsEntry& entry) const {
  const std::byte* data = file_->data() + entry.begin;
  if (entry.dtype == DType::boolean) {
    const auto bytes = file_->bytes().subspan(entry.begin, entry.end - entry.begin);
    // Any other byte read as a C++ bool is undefined behaviour.
    if (std::ranges::any_of(bytes, [](std::byte b) { return std::to_integer<int>(b) > 1; })) {
      bad_file(path(), entry.name, "a BOOL that is neither 0 nor 1");
    }
  }
  // Headers are of any length, so whole files are unaligned. Weights are read where they lie; what is small, such as a
  // norm's weight, would be copied at every use.
  const bool unaligned = reinterpret_cast<std::uintptr_t>(data) % itemsize(entry.dtype) != 0;
  if (unaligned && entry.end - entry.begin <= kSmall) {
    const auto copy = std::make_shared<std::vector<std::byte>>(data, file_->data() + entry.end);
    return from_borrowed(copy, copy->data(), entry.shape, entry.dtype);
  }
  return from_borrowed(file_, data, entry.shape, entry.dtype);
}

namespace {

// Wide elements first, so that every tensor is aligned to its element without padding, which the format forbids.
std::vector<const TensorDeclaration*> storage_order(std::span<const TensorDeclaration> tensors) {
  std::vector<const TensorDeclaration*> order;
  for (const TensorDeclaration& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, [](const auto* a, const auto* b) {
    const auto width_a = itemsize(a->dtype), width_b = itemsize(b->dtype);
    return width_a != width_b ? width_a > width_b : a->name < b->name;
  });
  return order;
}

std::string json_text(const std::filesystem::path& path, const nlohmann::json& value) {
  try {
    return value.dump();
  } catch (const nlohmann::json::exception&) {
    refuse(ErrorCode::invalid_argument, path, "", "a name or metadata text is not UTF-8");
  }
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::span<const TensorDeclaration> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : data_(path, "safetensors") {
  std::string text = "{";
  if (!metadata.empty()) text += fmt::format("\"__metadata__\":{},", json_text(path, metadata));
  const std::vector<const TensorDeclaration*> order = storage_order(tensors);
  std::vector<std::uint64_t> offsets{0};
  for (const TensorDeclaration* tensor : order) {
    std::uint64_t bytes = 0;
    if (!byte_size(tensor->shape, tensor->dtype, &bytes)) {
      refuse(ErrorCode::invalid_argument, path, tensor->name, "shape overflows");
    }
    const std::uint64_t begin = offsets.back();
    offsets.push_back(begin + bytes);
    text += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}},)", json_text(path, tensor->name),
                        safetensors_name(tensor->dtype), fmt::join(tensor->shape.begin(), tensor->shape.end(), ","),
                        begin, offsets.back());
  }
  if (text.back() == ',') text.pop_back();
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint64_t begin = kPrefix + length + offsets[i], bytes = offsets[i + 1] - offsets[i];
    if (!data_.place(order[i]->name, order[i]->dtype, begin, bytes) || order[i]->name == "__metadata__")
      refuse(ErrorCode::invalid_argument, path, order[i]->name, "name is there twice");
  }
  data_.write_header({reinterpret_cast<const char*>(&length), sizeof length});
  data_.write_header(text);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
