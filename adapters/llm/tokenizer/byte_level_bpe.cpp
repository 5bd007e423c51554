#include "adapters/llm/tokenizer/byte_level_bpe.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <queue>
#include <tuple>

#include "adapters/llm/tokenizer/utf8.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

using files::TokenizerSource;

/// GPT-2 spells bytes as printable characters: those that are printable in Latin-1 as themselves, the others as U+0100
/// and on, in order.
std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    alphabet[byte] = printable ? byte : next++;
  }
  return alphabet;
}

constexpr std::size_t kAlphabetEnd = 0x100 + 68;  // 68 bytes are not printable

std::array<int, kAlphabetEnd> bytes_of_alphabet() {
  std::array<int, kAlphabetEnd> bytes;
  bytes.fill(-1);
  const auto alphabet = byte_alphabet();
  for (int byte = 0; byte < 256; ++byte) bytes[alphabet[static_cast<std::size_t>(byte)]] = byte;
  return bytes;
}

/// The bytes that a token stands for. A character outside the alphabet stands for itself.
std::string unspell(std::string_view token, const std::array<int, kAlphabetEnd>& bytes) {
  std::string out;
  while (!token.empty()) {
    const Utf8Step step = utf8_step(token);
    const char32_t c = step.kind == Utf8Step::Kind::character ? first_character(token) : char32_t{kAlphabetEnd};
    if (c < kAlphabetEnd && bytes[c] >= 0) {
      out.push_back(static_cast<char>(bytes[c]));
    } else {
      out += token.substr(0, step.length);
    }
    token.remove_prefix(step.length);
  }
  return out;
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

std::string to_nfc(std::string_view text) {
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &composed, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(composed);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (size < 0) throw Error(ErrorCode::invalid_argument, fmt::format("[tokenizer] NFC: {}", utf8proc_errmsg(size)));
  return {reinterpret_cast<const char*>(composed), static_cast<std::size_t>(size)};
}

std::uint64_t pair_key(int left, int right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

ByteLevelBpe::ByteLevelBpe(const TokenizerSource& source)
    : Tokenizer(source, source.tokens),
      pre_tokenizer_(source.pre_tokenizer, source.patterns, source.split_digits),
      prefix_(source.prefix),
      ignore_merges_(source.ignore_merges),
      nfc_(source.nfc) {
  if (source.tokens.empty()) throw Error(ErrorCode::invalid_file, "[tokenizer] the vocabulary is empty");
  read_vocabulary(source);
  read_merges(source);
}

void ByteLevelBpe::read_vocabulary(const TokenizerSource& source) {
  std::vector<bool> is_added(source.tokens.size());
  for (const files::AddedToken& token : source.added)
    if (token.id < static_cast<std::int64_t>(is_added.size())) is_added[static_cast<std::size_t>(token.id)] = true;

  const auto alphabet = bytes_of_alphabet();
  byte_ids_.fill(-1);
  bytes_.reserve(source.tokens.size());
  for (const std::string& token : source.tokens) bytes_.push_back(unspell(token, alphabet));
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    if (is_added[i] || bytes_[i].empty()) continue;
    if (bytes_[i].size() == 1) byte_ids_[static_cast<unsigned char>(bytes_[i][0])] = static_cast<int>(i);
    if (ignore_merges_) by_bytes_.emplace(bytes_[i], static_cast<int>(i));
  }
}

void ByteLevelBpe::read_merges(const TokenizerSource& source) {
  std::unordered_map<std::string_view, int> ids;
  ids.reserve(source.tokens.size());
  for (std::size_t i = 0; i < source.tokens.size(); ++i) ids.emplace(source.tokens[i], static_cast<int>(i));

  merges_.reserve(source.merges.size());
  const auto count = static_cast<std::int64_t>(source.tokens.size());
  for (std::size_t rank = 0; rank < source.merges.size(); ++rank) {
    const auto [left, right] = source.merges[rank];
    if (left < 0 || right < 0 || left >= count || right >= count)
      throw Error(ErrorCode::invalid_file,
                  fmt::format("[tokenizer] merge {}: ids {} and {} are not both in the vocabulary of {}", rank, left,
                              right, count));
    const auto merged =
        ids.find(source.tokens[static_cast<std::size_t>(left)] + source.tokens[static_cast<std::size_t>(right)]);
    if (merged == ids.end())
      throw Error(ErrorCode::invalid_file,
                  fmt::format("[tokenizer] merge {}: its result is not in the vocabulary", rank));
    merges_.emplace(pair_key(left, right), Merge{static_cast<std::int32_t>(rank), merged->second});
  }
}

void ByteLevelBpe::encode_text(std::string_view text, bool is_first, std::vector<int>& ids) const {
  std::string normal = nfc_ ? to_nfc(text) : std::string(text);
  const bool wants_prefix =
      prefix_ == TokenizerSource::Prefix::always || (prefix_ == TokenizerSource::Prefix::first && is_first);
  if (wants_prefix && !normal.starts_with(' ')) normal.insert(0, 1, ' ');
  for (const std::string_view word : pre_tokenizer_.split(normal)) encode_word(word, ids);
}

void ByteLevelBpe::encode_word(std::string_view word, std::vector<int>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = by_bytes_.find(word); whole != by_bytes_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  std::vector<int> symbols;
  symbols.reserve(word.size());
  for (const char c : word) {
    const int id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) symbols.push_back(id);
  }
  merge(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

/// Merges neighbours until no pair has a rank: O(n log n) by a linked list of symbols and a heap of pairs. A pair whose
/// symbols have changed since it was pushed is skipped when it comes up.
void ByteLevelBpe::merge(std::vector<int>& word) const {
  struct Symbol {
    int id, previous, next;  // id −1: merged into the one before
  };
  struct Pair {
    int rank, left;  // index of the left symbol
    int left_id, right_id, merged_id;
    bool operator>(const Pair& other) const { return std::tie(rank, left) > std::tie(other.rank, other.left); }
  };
  const int count = static_cast<int>(word.size());
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (int i = 0; i < count; ++i)
    symbols.push_back({word[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  const auto at = [&](int i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };

  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> pairs;
  const auto offer = [&](int left) {
    if (left < 0 || at(left).next < 0) return;
    const int left_id = at(left).id, right_id = at(at(left).next).id;
    if (const Merge* found = find_merge(left_id, right_id))
      pairs.push({found->rank, left, left_id, right_id, found->id});
  };
  for (int i = 0; i + 1 < count; ++i) offer(i);

  while (!pairs.empty()) {
    const Pair pair = pairs.top();
    pairs.pop();
    Symbol& left = at(pair.left);
    if (left.id != pair.left_id || left.next < 0 || at(left.next).id != pair.right_id) continue;
    Symbol& right = at(left.next);
    left.id = pair.merged_id;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = pair.left;
    offer(left.previous);
    offer(pair.left);
  }

  word.clear();
  for (int i = count > 0 ? 0 : -1; i >= 0; i = at(i).next) word.push_back(at(i).id);
}

const ByteLevelBpe::Merge* ByteLevelBpe::find_merge(int left, int right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void ByteLevelBpe::append_bytes(int id, std::string& out) const {
  if (static_cast<std::size_t>(id) < bytes_.size()) out += bytes_[static_cast<std::size_t>(id)];
}

std::size_t ByteLevelBpe::own_prefix(std::string_view text) const {
  return prefix_ != TokenizerSource::Prefix::never && text.starts_with(' ') ? 1 : 0;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
