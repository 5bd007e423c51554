#include "adapters/files/safetensors_header.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::array<std::pair<std::string_view, DType>, kDTypeCount> kDTypes{{
    {"F32", DType::f32},
    {"F16", DType::f16},
    {"BF16", DType::bf16},
    {"F64", DType::f64},
    {"I8", DType::i8},
    {"U8", DType::u8},
    {"I16", DType::i16},
    {"U16", DType::u16},
    {"I32", DType::i32},
    {"U32", DType::u32},
    {"I64", DType::i64},
    {"U64", DType::u64},
    {"BOOL", DType::boolean},
    {"F8_E4M3", DType::f8_e4m3},
    {"F8_E5M2", DType::f8_e5m2},
}};

/// Events of a header: `{"__metadata__": {text: text}, name: {"dtype": text, "shape": [n], "data_offsets": [n, n]}}`.
/// Every rule about the header's own text is checked here; offsets against the file are the reader's.
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderEvents(const std::filesystem::path& path, std::deque<SafetensorsEntry>* entries,
               std::map<std::string, std::string>* metadata)
      : path_(path), entries_(entries), metadata_(metadata) {}

  bool start_object(std::size_t) override {
    switch (where_) {
      case Where::outside: where_ = Where::file; return true;
      case Where::file: where_ = in_metadata_ ? Where::metadata : Where::entry; return true;
      default: fail("an object where the format has none");
    }
  }

  bool end_object() override {
    if (where_ == Where::entry) finish_entry();
    where_ = where_ == Where::file ? Where::outside : Where::file;
    in_metadata_ = false;
    return true;
  }

  bool key(string_t& text) override {
    if (where_ == Where::file) {
      if (text == "__metadata__") {
        in_metadata_ = true;
      } else {
        begin_entry(std::move(text));
      }
    } else {
      key_ = std::move(text);
      if (where_ == Where::entry) begin_field();
    }
    return true;
  }

  bool string(string_t& text) override {
    if (where_ == Where::metadata) {
      metadata_->insert_or_assign(key_, std::move(text));
    } else if (where_ == Where::entry && key_ == "dtype") {
      set_dtype(text);
    } else {
      fail("text where the format has none");
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (where_ != Where::entry || key_ == "dtype") fail("an array where the format has none");
    where_ = Where::array;
    return true;
  }

  bool end_array() override {
    where_ = Where::entry;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (where_ != Where::array) fail("a number where the format has none");
    if (key_ == "shape") {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) fail("shape overflows");
      if (entry().shape.rank() == kMaxRank)
        refuse(ErrorCode::unsupported, path_, name(), fmt::format("more than {} axes are not supported", kMaxRank));
      entry().shape.push_back(static_cast<std::int64_t>(value));
    } else {
      if (offsets_ == 2) fail("data_offsets are not two numbers");
      (offsets_++ == 0 ? entry().begin : entry().end) = value;
    }
    return true;
  }
  bool number_integer(number_integer_t) override { fail(fmt::format("{} is negative", field())); }
  bool number_float(number_float_t, const string_t&) override {
    fail(fmt::format("{} is not a whole number below 2^64", field()));
  }
  bool null() override { fail(fmt::format("{} is null", field())); }
  bool boolean(bool) override { fail(fmt::format("{} is a truth value", field())); }
  bool binary(binary_t&) override { fail("binary value"); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    bad_file(path_, "", fmt::format("header is not JSON (byte {} of it)", position));
  }

 private:
  enum class Where : std::uint8_t { outside, file, metadata, entry, array };
  enum Field : unsigned { kDType = 1, kShape = 2, kOffsets = 4, kAll = 7 };

  [[noreturn]] void fail(std::string_view rule) const { bad_file(path_, name(), rule); }
  SafetensorsEntry& entry() const { return entries_->back(); }
  std::string_view name() const {
    if (in_metadata_) return "__metadata__";
    return where_ == Where::entry || where_ == Where::array ? std::string_view(entry().name) : std::string_view();
  }
  std::string field() const { return key_.empty() ? "header" : shown(key_); }

  void begin_entry(std::string name) {
    entries_->emplace_back().name = std::move(name);
    seen_ = 0;
    offsets_ = 0;
  }

  void begin_field() {
    const unsigned bit = key_ == "dtype" ? kDType : key_ == "shape" ? kShape : key_ == "data_offsets" ? kOffsets : 0u;
    if (bit == 0) fail(fmt::format("unknown key {}", shown(key_)));
    if (seen_ & bit) fail(fmt::format("{} is there twice", key_));
    seen_ |= bit;
  }

  void set_dtype(const std::string& text) {
    for (const auto& [spelling, dtype] : kDTypes) {
      if (spelling == text) {
        entry().dtype = dtype;
        return;
      }
    }
    refuse(ErrorCode::unsupported, path_, name(), fmt::format("dtype {} is not supported", shown(text)));
  }

  void finish_entry() {
    if (seen_ != kAll) fail("dtype, shape or data_offsets is missing");
    if (offsets_ != 2) fail("data_offsets are not two numbers");
  }

  const std::filesystem::path& path_;
  std::deque<SafetensorsEntry>* entries_;
  std::map<std::string, std::string>* metadata_;
  Where where_ = Where::outside;
  bool in_metadata_ = false;
  std::string key_;
  unsigned seen_ = 0;
  int offsets_ = 0;
};

}  // namespace

std::string_view safetensors_name(DType dtype) {
  for (const auto& [spelling, candidate] : kDTypes) {
    if (candidate == dtype) return spelling;
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("[safetensors] dtype {} has no name in the format", nibble::name(dtype)));
}

void parse_safetensors_header(const std::filesystem::path& path, std::string_view json,
                              std::deque<SafetensorsEntry>* entries, std::map<std::string, std::string>* metadata) {
  if (json.empty() || json.front() != '{') bad_file(path, "", "header does not begin with '{'");
  HeaderEvents events(path, entries, metadata);
  nlohmann::json::sax_parse(json.begin(), json.end(), &events);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
