#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "adapters/files/tokenizer_source.h"

namespace nibble {
inline namespace v0 {
namespace llm {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

struct ChatOptions {
  bool add_generation_prompt = true;  ///< end with what begins the assistant's answer
  std::string date;                   ///< for templates that write today's date, in their own format; empty: today
};

/// A model's own way of writing a conversation, recognised by what its stored Jinja template contains. What the
/// template spells out (its texts around a message, white space, default system message, thinking stripped from earlier
/// answers) is taken from it; a template that writes something else is refused rather than approximated.
class ChatTemplate {
 public:
  enum class Style : unsigned char { chatml, llama2, llama3, mistral, zephyr };

  /// Throws Error(unsupported) for a template of another kind, with a hint to pass the raw text.
  static ChatTemplate recognise(std::string_view jinja, std::string_view bos_text, std::string_view eos_text);
  /// The source's template; BOS and EOS from where the tokenizer has them, for a sentencepiece .model from within that
  /// file.
  static ChatTemplate recognise(const files::TokenizerSource& source);

  Style style() const { return style_; }
  /// "ChatML", "Llama-2", …
  std::string_view name() const;
  /// The system message of a conversation that has none of its own; empty where the template has no default.
  const std::string& default_system() const { return default_system_; }

  /// The conversation as text, with BOS where the template writes it: to be encoded with special tokens parsed and no
  /// further BOS. Throws Error(invalid_argument) for roles or an order of roles that the template refuses, or whose
  /// messages it would leave out.
  std::string render(std::span<const ChatMessage> messages, const ChatOptions& options = {}) const;

 private:
  /// Where a system message goes.
  enum class System : unsigned char {
    turn,        // a turn of its own
    first_user,  // within the first user's turn
    last_user,   // within the last user's turn, and any that says the same
    last_turn,   // within the last turn, if that is a user's
    refused,
  };

  class Reader;
  void check_roles(std::span<const ChatMessage> messages) const;
  std::string fill(std::string_view pattern, const ChatMessage& message, std::string_view system) const;
  std::string render_turns(std::span<const ChatMessage> messages, const std::optional<std::string>& system) const;
  bool holds_system(std::span<const ChatMessage> messages, std::size_t i) const;
  std::string answer(const std::string& content, bool is_open, bool is_last) const;
  std::string system_turn(const std::optional<std::string>& system, const ChatOptions& options) const;

  Style style_ = Style::chatml;
  System system_ = System::turn;
  // patterns of jinja_outline.h
  std::string lead_, system_turn_, user_turn_, user_turn_with_system_, assistant_turn_, generation_prompt_;
  std::string default_system_;       // the message
  std::string default_system_turn_;  // the whole turn, as the template spells it
  std::string bos_, eos_;
  bool alternates_ = false;           // roles must alternate
  bool strips_thinking_ = false;      // of answers
  bool keeps_open_thinking_ = false;  // of those that no question follows
  bool has_date_header_ = false;      // Llama 3.1 and later
  std::string date_format_, fixed_date_;
};

}  // namespace llm
}  // namespace v0
}  // namespace nibble
