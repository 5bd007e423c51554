#include "adapters/llm/tokenizer/sentencepiece_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "adapters/files/token_type.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

using files::TokenizerSource;
using enum files::TokenType;

/// Field numbers of sentencepiece_model.proto.
namespace field {
enum Model : std::uint32_t { pieces = 1, trainer_spec = 2, normalizer_spec = 3, denormalizer_spec = 5 };
enum Piece : std::uint32_t { piece = 1, score = 2, type = 3 };
enum Trainer : std::uint32_t { model_type = 3, byte_fallback = 35, unk_id = 40, bos_id = 41, eos_id = 42, pad_id = 43 };
enum Normalizer : std::uint32_t {
  name = 1,
  precompiled_charsmap = 2,
  add_dummy_prefix = 3,
  remove_extra_whitespaces = 4,
  escape_whitespaces = 5
};
}  // namespace field

constexpr std::int64_t kBpe = 2;

/// One message in the protocol buffers' wire format (protobuf.dev/programming-guides/encoding).
class Message {
 public:
  Message& integer(std::uint32_t field, std::int64_t value) {
    varint(field << 3 | 0);
    varint(static_cast<std::uint64_t>(value));  // a negative int32 takes ten bytes, sign-extended
    return *this;
  }
  Message& real(std::uint32_t field, float value) {
    varint(field << 3 | 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<char>(bits >> shift & 0xFF));
    return *this;
  }
  Message& bytes(std::uint32_t field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(std::uint32_t field, const Message& value) { return bytes(field, value.bytes_); }
  std::string take() { return std::move(bytes_); }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

/// Calls `field(number, bytes)` for each field of a message that is bytes. False for what is no message.
template <class Field>
bool for_each_bytes(std::string_view message, Field field) {
  const auto varint = [&](std::uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && !message.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(message.front());
      message.remove_prefix(1);
      *value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  };
  while (!message.empty()) {
    std::uint64_t tag = 0, length = 0;
    if (!varint(&tag)) return false;
    switch (tag & 7) {
      case 0:
        if (!varint(&length)) return false;
        continue;
      case 1: length = 8; break;
      case 2:
        if (!varint(&length)) return false;
        break;
      case 5: length = 4; break;
      default: return false;
    }
    if (length > message.size()) return false;
    if ((tag & 7) == 2 && !field(static_cast<std::uint32_t>(tag >> 3), message.substr(0, length))) return false;
    message.remove_prefix(length);
  }
  return true;
}

/// The rules of one spec: the trie's length, the trie, and the texts that its values are places in. The trie is an
/// array of units (Darts-clone): a step from unit i by byte b leads to i ^ offset ^ b, and its value, if it has one,
/// stands where the byte 0 leads.
bool is_sound_map(std::string_view map) {
  if (map.empty()) return true;
  std::uint32_t size = 0;
  if (map.size() < sizeof size) return false;
  std::memcpy(&size, map.data(), sizeof size);
  map.remove_prefix(sizeof size);
  if (size == 0 || size % sizeof(std::uint32_t) != 0 || size >= map.size()) return false;
  std::vector<std::uint32_t> units(size / sizeof(std::uint32_t));
  std::memcpy(units.data(), map.data(), size);
  const std::size_t texts = map.size() - size;
  constexpr std::uint32_t kIsValue = 1u << 31, kHasValue = 1u << 8, kIsFar = 1u << 9;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const std::uint32_t unit = units[i];
    if (i > 0 && (unit & kIsValue) != 0) continue;  // nothing leads on from there
    const std::size_t first = i ^ ((unit >> 10) << ((unit & kIsFar) != 0 ? 8 : 0));
    if ((first | 0xFF) >= units.size()) return false;
    if ((unit & kHasValue) != 0 && (units[first] & ~kIsValue) >= texts) return false;
  }
  return true;
}

bool has_zero(std::string_view piece) { return piece.find('\0') != std::string_view::npos; }

/// sentencepiece wants exactly one unknown piece; some GGUF files have none, or mark their padding so.
std::size_t choose_unknown(const TokenizerSource& source) {
  if (source.unk_id && *source.unk_id >= 0 && static_cast<std::size_t>(*source.unk_id) < source.tokens.size())
    return static_cast<std::size_t>(*source.unk_id);
  const auto marked = std::find(source.types.begin(), source.types.end(), kUnknown);
  return static_cast<std::size_t>(marked - source.types.begin());  // at the end where there is none: a piece is added
}

std::int32_t piece_type(const TokenizerSource& source, std::size_t i, std::size_t unknown) {
  if (i == unknown) return kUnknown;
  const std::int32_t type = source.types[i];
  if (type < kNormal || type > kByte || type == kUnknown) return kUnused;
  return type;
}

}  // namespace

std::string serialized_sentencepiece_model(const TokenizerSource& source) {
  const std::size_t count = source.tokens.size();
  if (source.scores.size() != count || source.types.size() != count)
    throw Error(ErrorCode::invalid_file,
                fmt::format("[tokenizer] {} pieces have {} scores and {} types: all three must be as many", count,
                            source.scores.size(), source.types.size()));
  const std::size_t unknown = choose_unknown(source);
  Message model;
  std::unordered_set<std::string> seen;
  bool has_bytes = false;
  const auto add_piece = [&](std::string text, float score, std::int32_t type) {
    model.message(field::pieces,
                  Message().bytes(field::piece, text).real(field::score, score).integer(field::type, type));
    seen.insert(std::move(text));
  };
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& text = source.tokens[i];
    const std::int32_t type = piece_type(source, i, unknown);
    has_bytes = has_bytes || type == kByte;
    // sentencepiece refuses empty and repeated pieces, and sees the end of some where they have a zero; ids with such
    // must stay where they are, so they get a name that no text makes.
    if (text.empty() || has_zero(text) || seen.contains(text)) {
      add_piece(fmt::format("<nibble unused {}>", i), -1e9f, i == unknown ? kUnknown : kUnused);
    } else {
      add_piece(text, source.scores[i], type);
    }
  }
  if (unknown == count) add_piece("<nibble unknown>", 0, kUnknown);

  const auto id_or_none = [](std::optional<std::int64_t> id) { return id.value_or(-1); };
  model.message(field::trainer_spec, Message()
                                         .integer(field::model_type, kBpe)
                                         .integer(field::byte_fallback, has_bytes)
                                         .integer(field::unk_id, static_cast<std::int64_t>(unknown))
                                         .integer(field::bos_id, id_or_none(source.bos_id))
                                         .integer(field::eos_id, id_or_none(source.eos_id))
                                         .integer(field::pad_id, id_or_none(source.pad_id)));
  model.message(field::normalizer_spec,
                Message()
                    .bytes(field::name, "identity")
                    .integer(field::add_dummy_prefix, source.prefix != TokenizerSource::Prefix::never)
                    .integer(field::remove_extra_whitespaces, source.remove_extra_whitespaces)
                    .integer(field::escape_whitespaces, true));
  return model.take();
}

std::string dummy_prefix_override(bool add_dummy_prefix) {
  return Message().message(field::normalizer_spec, Message().integer(field::add_dummy_prefix, add_dummy_prefix)).take();
}

bool is_sound_model(std::string_view model) {
  return for_each_bytes(model, [](std::uint32_t part, std::string_view message) {
    const bool is_rules = part == field::normalizer_spec || part == field::denormalizer_spec;
    if (!is_rules && part != field::pieces) return true;
    return for_each_bytes(message, [&](std::uint32_t number, std::string_view bytes) {
      if (is_rules) return number != field::precompiled_charsmap || is_sound_map(bytes);
      return number != field::piece || !has_zero(bytes);
    });
  });
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
