#include "adapters/files/gguf_write.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "adapters/files/file_error.h"
#include "adapters/files/gguf_values.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF's numbers are copied as they are");

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;  // what readers take where general.alignment is missing

std::uint64_t aligned(std::uint64_t position) { return (position + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
void put(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string_view text, std::string* out) {
  put<std::uint64_t>(text.size(), out);
  out->append(text);
}
template <class T>
void put_all(std::span<const T> values, std::string* out) {
  out->append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

}  // namespace

std::uint64_t GgufDeclaration::bytes() const {
  return static_cast<std::uint64_t>(shape.numel()) / type->block * type->block_bytes;
}

std::uint64_t GgufDeclaration::padded_bytes() const { return aligned(bytes()); }

void GgufPairs::begin(std::string_view key, std::uint32_t type) {
  put_text(key, &bytes_);
  put(type, &bytes_);
  ++size_;
}

void GgufPairs::begin_list(std::string_view key, std::uint32_t type, std::size_t count) {
  begin(key, gguf_value::array);
  put(type, &bytes_);
  put<std::uint64_t>(count, &bytes_);
}

void GgufPairs::text(std::string_view key, std::string_view value) {
  begin(key, gguf_value::text);
  put_text(value, &bytes_);
}

void GgufPairs::boolean(std::string_view key, bool value) {
  begin(key, gguf_value::boolean);
  put<std::uint8_t>(value, &bytes_);
}

void GgufPairs::count(std::string_view key, std::int64_t value) {
  if (value < 0 || value > UINT32_MAX)
    throw Error(ErrorCode::unsupported, fmt::format("[gguf] {}: {} is no number of 32 bits", key, value));
  begin(key, gguf_value::u32);
  put(static_cast<std::uint32_t>(value), &bytes_);
}

void GgufPairs::short_count(std::string_view key, std::uint16_t value) {
  begin(key, gguf_value::u16);
  put(value, &bytes_);
}

void GgufPairs::integer(std::string_view key, std::int32_t value) {
  begin(key, gguf_value::i32);
  put(value, &bytes_);
}

void GgufPairs::number(std::string_view key, double value) {
  begin(key, gguf_value::f32);
  put(static_cast<float>(value), &bytes_);
}

void GgufPairs::texts(std::string_view key, std::span<const std::string> values) {
  begin_list(key, gguf_value::text, values.size());
  for (const std::string& value : values) put_text(value, &bytes_);
}

void GgufPairs::integers(std::string_view key, std::span<const std::int32_t> values) {
  begin_list(key, gguf_value::i32, values.size());
  put_all(values, &bytes_);
}

void GgufPairs::numbers(std::string_view key, std::span<const float> values) {
  begin_list(key, gguf_value::f32, values.size());
  put_all(values, &bytes_);
}

GgufWriter::GgufWriter(const std::filesystem::path& path, const GgufPairs& metadata,
                       std::span<const GgufDeclaration> tensors)
    : data_(path, "gguf") {
  std::string head = "GGUF";
  put(kVersion, &head);
  put<std::uint64_t>(tensors.size(), &head);
  put<std::uint64_t>(metadata.size(), &head);
  std::string infos;
  std::uint64_t offset = 0;
  for (const GgufDeclaration& tensor : tensors) {
    put_text(tensor.name, &infos);
    put(static_cast<std::uint32_t>(tensor.shape.rank()), &infos);
    for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis)
      put(static_cast<std::uint64_t>(tensor.shape[axis]), &infos);
    put(tensor.type->id, &infos);
    put(offset, &infos);
    offset += tensor.padded_bytes();
  }
  const std::uint64_t length = head.size() + metadata.bytes().size() + infos.size(), data = aligned(length);
  infos.append(data - length, '\0');
  data_.write_header(head);
  data_.write_header(metadata.bytes());
  data_.write_header(infos);

  std::uint64_t begin = data;
  for (const GgufDeclaration& tensor : tensors) {
    if (!data_.place(tensor.name, tensor.type->dtype.value_or(DType::u8), begin, tensor.bytes()))
      refuse(ErrorCode::invalid_argument, path, tensor.name, "name is there twice");
    begin += tensor.padded_bytes();
  }
  if (begin > data) data_.extend_to(begin);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
