#include "adapters/files/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <tuple>

#include "adapters/files/file_error.h"
#include "adapters/files/gguf_values.h"
#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

using namespace gguf_value;
using ValueType = gguf_value::Type;
constexpr std::array<std::uint8_t, kTypes> kValueSize{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr std::uint64_t kLeastTensorInfo = 8 + 4 + 4 + 8;  // an empty name, no dimensions
constexpr std::uint64_t kLeastPair = 8 + 4 + 1;
constexpr std::uint32_t kMaxDimensions = 4;

template <class T>
T read_as(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

bool is_integer(std::uint32_t type) { return type <= i32 || type == u64 || type == i64; }

std::int64_t integer_at(std::uint32_t type, const std::byte* data) {
  switch (type) {
    case u8: return read_as<std::uint8_t>(data);
    case i8: return read_as<std::int8_t>(data);
    case u16: return read_as<std::uint16_t>(data);
    case i16: return read_as<std::int16_t>(data);
    case u32: return read_as<std::uint32_t>(data);
    case i32: return read_as<std::int32_t>(data);
    default: return read_as<std::int64_t>(data);
  }
}

std::string_view text_at(const std::byte* data) {
  return {reinterpret_cast<const char*>(data) + 8, read_as<std::uint64_t>(data)};
}

}  // namespace

/// Reads forward through the header and never past the end of the file.
class GgufFile::Cursor {
 public:
  Cursor(const MappedFile& file, std::uint64_t position) : file_(file), position_(position) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return file_.size() - position_; }
  const std::byte* here() const { return file_.data() + position_; }

  const std::byte* skip(std::uint64_t bytes, std::string_view what) {
    if (bytes > left()) bad_file(file_.path(), what, fmt::format("truncated: {} bytes wanted, {} left", bytes, left()));
    const std::byte* data = here();
    position_ += bytes;
    return data;
  }
  template <class T>
  T number(std::string_view what) {
    return read_as<T>(skip(sizeof(T), what));
  }
  std::string_view string(std::string_view what) {
    const auto length = number<std::uint64_t>(what);
    return {reinterpret_cast<const char*>(skip(length, what)), length};
  }
  /// One value, or `count` elements of an array, all of one type.
  void skip_values(std::uint32_t type, std::uint64_t count, std::string_view key) {
    if (type == ValueType::text) {
      for (std::uint64_t i = 0; i < count; ++i) string(key);
      return;
    }
    std::uint64_t bytes = 0;
    if (!multiply_sizes(kValueSize[type], count, &bytes)) bad_file(file_.path(), key, "array size overflows");
    const std::byte* data = skip(bytes, key);
    if (type == ValueType::boolean &&
        std::any_of(data, data + bytes, [](std::byte b) { return std::to_integer<int>(b) > 1; })) {
      bad_file(file_.path(), key, "a truth value that is neither 0 nor 1");
    }
  }

 private:
  const MappedFile& file_;
  std::uint64_t position_;
};

GgufFile::GgufFile(const std::filesystem::path& path) : GgufFile(read_alone(path)) { join_parts(); }

GgufFile GgufFile::read_alone(const std::filesystem::path& path) {
  GgufFile file;
  file.files_.push_back(MappedFile::open(path));
  file.read_header();
  return file;
}

void GgufFile::read_header() {
  const std::string_view start = files_.front()->text().substr(0, 4);
  if (start != "GGUF") bad_file(path(), "", "does not begin with GGUF: not a GGUF file");
  Cursor cursor(*files_.front(), 4);
  version_ = cursor.number<std::uint32_t>("header");
  if (version_ != 2 && version_ != 3) {
    if (version_ != 0 && __builtin_bswap32(version_) <= 3)
      refuse(ErrorCode::unsupported, path(), "", "is big-endian GGUF, which is not supported");
    refuse(ErrorCode::unsupported, path(), "", fmt::format("GGUF version {} is not supported (2 and 3 are)", version_));
  }
  const auto tensor_count = cursor.number<std::uint64_t>("header");
  const auto pair_count = cursor.number<std::uint64_t>("header");
  if (pair_count > cursor.left() / kLeastPair) {
    bad_file(path(), "", fmt::format("{} metadata pairs do not fit into {} bytes", pair_count, cursor.left()));
  }
  read_metadata(cursor, pair_count);
  if (tensor_count > cursor.left() / kLeastTensorInfo) {
    bad_file(path(), "", fmt::format("{} tensors do not fit into {} bytes", tensor_count, cursor.left()));
  }
  read_tensors(cursor, tensor_count);
  require_names_once();
  check_places(cursor.position());
}

void GgufFile::read_metadata(Cursor& cursor, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    Value value;
    value.key = cursor.string("metadata key");
    value.type = cursor.number<std::uint32_t>(value.key);
    if (value.type == ValueType::array) {
      value.is_array = true;
      value.type = cursor.number<std::uint32_t>(value.key);
      value.count = cursor.number<std::uint64_t>(value.key);
      if (value.type == ValueType::array)
        refuse(ErrorCode::unsupported, path(), value.key, "an array of arrays is not supported");
    }
    if (value.type >= kTypes) bad_file(path(), value.key, fmt::format("unknown value type {}", value.type));
    value.data = cursor.here();
    cursor.skip_values(value.type, value.count, value.key);
    values_.push_back(value);
  }
  std::ranges::sort(values_, {}, &Value::key);
  const auto twice = std::ranges::adjacent_find(values_, {}, &Value::key);
  if (twice != values_.end()) bad_file(path(), twice->key, "metadata key is there twice");
}

void GgufFile::read_tensors(Cursor& cursor, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    GgufTensor tensor;
    tensor.name = cursor.string("tensor name");
    const auto rank = cursor.number<std::uint32_t>(tensor.name);
    if (rank > kMaxDimensions)
      bad_file(path(), tensor.name, fmt::format("{} dimensions, more than {}", rank, kMaxDimensions));
    std::uint64_t elements = 1;
    for (std::uint32_t d = 0; d < rank; ++d) {
      const auto size = cursor.number<std::uint64_t>(tensor.name);
      if (size == 0 || size > INT64_MAX)
        bad_file(path(), tensor.name, fmt::format("dimension {} is not positive", static_cast<std::int64_t>(size)));
      if (!multiply_sizes(elements, size, &elements)) bad_file(path(), tensor.name, "shape overflows");
      tensor.shape.insert(0, static_cast<std::int64_t>(size));
    }
    const auto type = cursor.number<std::uint32_t>(tensor.name);
    tensor.type = find_ggml_type(type);
    if (!tensor.type)
      refuse(ErrorCode::unsupported, path(), tensor.name, fmt::format("tensor type {} is unknown", type));
    const std::uint64_t row = rank == 0 ? 1 : static_cast<std::uint64_t>(tensor.shape.back());
    if (row % tensor.type->block != 0) {
      bad_file(
          path(), tensor.name,
          fmt::format("rows of {} are no multiple of {}'s block of {}", row, tensor.type->name, tensor.type->block));
    }
    if (!multiply_sizes(elements / tensor.type->block, tensor.type->block_bytes, &tensor.bytes))
      bad_file(path(), tensor.name, "shape overflows");
    tensor.begin = cursor.number<std::uint64_t>(tensor.name);
    tensors_.push_back(tensor);
  }
}

void GgufFile::require_names_once() {
  std::ranges::sort(tensors_, [](const GgufTensor& a, const GgufTensor& b) {
    return std::tie(a.name, a.file) < std::tie(b.name, b.file);
  });
  const auto twice = std::ranges::adjacent_find(tensors_, {}, &GgufTensor::name);
  if (twice == tensors_.end()) return;
  const GgufTensor& again = *std::next(twice);
  bad_file(path_of(again), again.name,
           again.file == twice->file ? "name is there twice"
                                     : fmt::format("is in {} too", shown(path_of(*twice).filename().string())));
}

std::uint64_t GgufFile::alignment() const {
  constexpr std::string_view kKey = "general.alignment";
  constexpr std::int64_t kLargest = 1 << 20;
  const std::int64_t value = integer(kKey).value_or(32);
  if (value <= 0 || value > kLargest || (value & (value - 1)) != 0) {
    bad_file(path(), kKey, fmt::format("{} is not a power of two up to {}", value, kLargest));
  }
  return static_cast<std::uint64_t>(value);
}

void GgufFile::check_places(std::uint64_t header_end) {
  const std::uint64_t step = alignment();
  const std::uint64_t data = (header_end + step - 1) / step * step;
  for (GgufTensor& tensor : tensors_) {
    if (tensor.begin % step != 0)
      bad_file(path(), tensor.name, fmt::format("offset {} is not aligned to {}", tensor.begin, step));
    std::uint64_t end = 0;
    if (!add_sizes(tensor.begin, data, &tensor.begin) || !add_sizes(tensor.begin, tensor.bytes, &end) ||
        end > files_.front()->size()) {
      bad_file(path(), tensor.name,
               fmt::format("its {} bytes are out of range: the file has {} (truncated?)", tensor.bytes,
                           files_.front()->size()));
    }
  }
  std::ranges::sort(tensors_, {}, &GgufTensor::begin);
  const auto overlap = std::ranges::adjacent_find(
      tensors_, [](const GgufTensor& a, const GgufTensor& b) { return a.begin + a.bytes > b.begin; });
  if (overlap != tensors_.end()) bad_file(path(), std::next(overlap)->name, "overlaps another tensor");
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = std::ranges::find(tensors_, name, &GgufTensor::name);
  return found == tensors_.end() ? nullptr : &*found;
}

Tensor GgufFile::tensor(const GgufTensor& tensor, DType dtype) const {
  const std::shared_ptr<const MappedFile>& file = files_[tensor.file];
  return tensor_over(tensor, file, file->data() + tensor.begin, dtype);
}

Tensor GgufFile::tensor_over(const GgufTensor& tensor, std::shared_ptr<const void> owner, const std::byte* data,
                             DType dtype) const {
  if (!tensor.type->is_supported()) {
    refuse(ErrorCode::unsupported, path_of(tensor), tensor.name,
           fmt::format("type {} is not supported", tensor.type->name));
  }
  if (tensor.type->dtype) return from_borrowed(std::move(owner), data, tensor.shape, *tensor.type->dtype);
  Shape bytes = tensor.shape;
  bytes[bytes.rank() - 1] = tensor.shape.back() / tensor.type->block * tensor.type->block_bytes;
  const Tensor blocks = from_borrowed(std::move(owner), data, bytes, DType::u8);
  return from_components(tensor.type->format, {{"blocks", blocks}}, tensor.shape, dtype);
}

const GgufFile::Value* GgufFile::find(std::string_view key) const {
  const auto found = std::ranges::lower_bound(values_, key, {}, &Value::key);
  return found != values_.end() && found->key == key ? &*found : nullptr;
}

void GgufFile::wrong_kind(const Value& value, std::string_view wanted) const {
  bad_file(path(), value.key, fmt::format("is not {}", wanted));
}

std::int64_t GgufFile::length(std::string_view key) const {
  const Value* value = find(key);
  return value ? static_cast<std::int64_t>(value->count) : 0;
}

std::optional<std::string_view> GgufFile::text(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (value->is_array || value->type != ValueType::text) wrong_kind(*value, "a text");
  return text_at(value->data);
}

std::optional<std::int64_t> GgufFile::integer(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (value->is_array || !is_integer(value->type)) wrong_kind(*value, "a whole number");
  return integer_at(value->type, value->data);
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (!value->is_array && value->type == ValueType::f64) return read_as<double>(value->data);
  // 1e-05 was written, and its nearest float read: the shortest decimal of that float is what was meant.
  if (!value->is_array && value->type == ValueType::f32)
    return std::strtod(fmt::format("{}", read_as<float>(value->data)).c_str(), nullptr);
  if (value->is_array || !is_integer(value->type)) wrong_kind(*value, "a number");
  return static_cast<double>(integer_at(value->type, value->data));
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (value->is_array || value->type != ValueType::boolean) wrong_kind(*value, "a truth value");
  return value->data[0] != std::byte{0};
}

template <class Text>
std::optional<std::vector<Text>> GgufFile::texts_as(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (!value->is_array || value->type != ValueType::text) wrong_kind(*value, "a list of texts");
  std::vector<Text> texts;
  texts.reserve(value->count);  // each takes at least 8 bytes of the file
  const std::byte* data = value->data;
  for (std::uint64_t i = 0; i < value->count; ++i) {
    const std::string_view text = text_at(data);
    texts.emplace_back(text);
    data += 8 + text.size();
  }
  return texts;
}

std::optional<std::vector<std::string_view>> GgufFile::text_views(std::string_view key) const {
  return texts_as<std::string_view>(key);
}

std::optional<std::vector<std::string>> GgufFile::texts(std::string_view key) const {
  return texts_as<std::string>(key);
}

std::optional<std::vector<std::int64_t>> GgufFile::integers(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  // ggml's lists are of 32 or 64 bits. Bytes would take eight times their place in the file.
  const bool is_wide = !value->is_array || kValueSize[value->type] >= 4;
  if (!is_integer(value->type) || !is_wide) wrong_kind(*value, "a list of whole numbers of 32 or 64 bits");
  std::vector<std::int64_t> numbers(value->count);
  for (std::uint64_t i = 0; i < value->count; ++i)
    numbers[i] = integer_at(value->type, value->data + i * kValueSize[value->type]);
  return numbers;
}

std::optional<std::vector<float>> GgufFile::floats(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return {};
  if (!value->is_array || value->type != ValueType::f32) wrong_kind(*value, "a list of f32");
  std::vector<float> numbers(value->count);
  if (value->count > 0) std::memcpy(numbers.data(), value->data, value->count * sizeof(float));
  return numbers;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
