#include "adapters/llm/tokenizer/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>
#include <vector>

#include "adapters/llm/tokenizer/jinja_outline.h"
#include "adapters/llm/tokenizer/tokenizer.h"
#include "adapters/llm/tokenizer/utf8.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace llm {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"ChatML", "Llama-2", "Llama-3", "Mistral", "Zephyr"};

std::string trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
  return std::string(text.substr(begin, std::max(text.find_last_not_of(kSpace) + 1, begin) - begin));
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }
bool has_slot(std::string_view pattern, char value) { return pattern.find(value) != pattern.npos; }
bool has_content(std::string_view pattern) {
  return has_slot(pattern, slot::kContent) || has_slot(pattern, slot::kTrimmedContent);
}
bool has_any_slot(std::string_view pattern) {
  return std::any_of(pattern.begin(), pattern.end(), [](char c) { return c >= slot::kRole && c <= slot::kUnknown; });
}
/// The pattern as if it wrote the content untrimmed: to compare with.
std::string untrimmed(std::string pattern) {
  std::replace(pattern.begin(), pattern.end(), slot::kTrimmedContent, slot::kContent);
  return pattern;
}

[[noreturn]] void refuse(std::string_view why) {
  throw Error(ErrorCode::unsupported, fmt::format("[chat template] {}; known are ChatML, Llama-2, Llama-3, Mistral and "
                                                  "Zephyr: pass the whole prompt as raw text",
                                                  why));
}

std::string today(const std::string& format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::array<char, 128> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format.c_str(), &parts)};
}

/// "set NAME = EXPRESSION" → the expression, or nothing.
std::string_view assigned(std::string_view statement, std::string_view name) {
  const std::string head = fmt::format("set {} =", name);
  return statement.starts_with(head) ? statement.substr(head.size()) : std::string_view();
}

}  // namespace

/// Reads the outline of one template into a ChatTemplate.
class ChatTemplate::Reader {
 public:
  Reader(std::string_view jinja, ChatTemplate& out) : jinja_(jinja), items_(outline_of(jinja)), out_(out) {}

  void read() {
    out_.alternates_ = contains(jinja_, "roles must alternate");
    refuse_stray_space();
    if (const std::string* lead = find([](const std::string& p) { return p == std::string{slot::kBos}; }))
      out_.lead_ = *lead;
    if (contains(jinja_, "<|im_start|>")) return read_chatml();
    if (contains(jinja_, "<|start_header_id|>")) return read_llama3();
    if (contains(jinja_, "<<SYS>>")) return read_llama2();
    if (contains(jinja_, "[INST]")) return read_mistral();
    if (contains(jinja_, "<|user|>")) return read_zephyr();
    refuse(jinja_.empty() ? "the model has none" : "the stored template is of no kind that is understood");
  }

 private:
  template <class Predicate>
  const std::string* find(Predicate predicate) const {
    for (const OutlineItem& item : items_)
      if (!item.is_statement && predicate(item.text)) return &item.text;
    return nullptr;
  }

  /// Blanks between tags that would be written out: such a template writes more than its known texts.
  void refuse_stray_space() const {
    for (const OutlineItem& item : items_)
      if (!item.is_statement && item.is_plain && item.text.find_first_not_of(kSpace) == item.text.npos)
        refuse("the stored template writes white space between its messages");
  }

  /// What is written under the last `if … add_generation_prompt`.
  std::string generation_prompt() const {
    for (std::size_t i = items_.size(); i-- > 0;) {
      if (!items_[i].is_statement || !contains(items_[i].text, "add_generation_prompt")) continue;
      return i + 1 < items_.size() && !items_[i + 1].is_statement ? items_[i + 1].text : std::string();
    }
    return {};
  }

  void read_generation_prompt(std::initializer_list<std::string_view> known) {
    out_.generation_prompt_ = generation_prompt();
    if (std::find(known.begin(), known.end(), out_.generation_prompt_) == known.end())
      refuse(fmt::format("the stored {} template begins answers in an unknown way", out_.name()));
  }

  /// A turn that is spelled out whole is the system message of conversations that have none.
  void read_default_system(std::string_view head, std::string_view tail) {
    const std::string* turn =
        find([&](const std::string& p) { return p.starts_with(head) && contains(p, tail) && !has_any_slot(p); });
    if (turn == nullptr) return;
    out_.default_system_turn_ = *turn;
    out_.default_system_ = turn->substr(head.size(), turn->find(tail) - head.size());
  }

  void read_chatml() {
    out_.style_ = Style::chatml;
    if (contains(jinja_, "strftime_now")) refuse("the stored ChatML template writes the date");
    const std::string known = std::string("<|im_start|>") + slot::kRole + '\n' + slot::kContent + "<|im_end|>\n";
    const std::string* turn = find([&](const std::string& p) { return untrimmed(p) == known; });
    if (turn == nullptr) refuse("the stored ChatML template writes messages in an unknown way");
    out_.user_turn_ = out_.system_turn_ = out_.assistant_turn_ = *turn;
    out_.strips_thinking_ = contains(jinja_, "split('</think>')");
    out_.keeps_open_thinking_ = out_.strips_thinking_ && contains(jinja_, "ns.last_query_index");
    read_default_system("<|im_start|>system\n", "<|im_end|>");
    read_generation_prompt({"<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n"});
  }

  void read_llama3() {
    out_.style_ = Style::llama3;
    const std::string known =
        std::string("<|start_header_id|>") + slot::kRole + "<|end_header_id|>\n\n" + slot::kContent + "<|eot_id|>";
    const auto is_turn = [&](const std::string& p) { return untrimmed(p) == known; };
    std::string turn;
    for (const OutlineItem& item : items_) {
      // Llama 3 puts the turn together in a variable, and BOS before the first one.
      const std::string pattern = item.is_statement ? pattern_of_expression(assigned(item.text, "content")) : item.text;
      if (is_turn(pattern)) turn = pattern;
      if (item.is_statement && pattern == std::string{slot::kBos, slot::kContent}) out_.lead_ = slot::kBos;
    }
    if (turn.empty()) refuse("the stored Llama-3 template writes messages in an unknown way");
    out_.user_turn_ = out_.system_turn_ = out_.assistant_turn_ = turn;
    read_default_system("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>");
    read_generation_prompt({"<|start_header_id|>assistant<|end_header_id|>\n\n"});
    if (contains(jinja_, "Cutting Knowledge Date")) read_date_header();
  }

  void read_date_header() {
    const std::string known = std::string("Cutting Knowledge Date: December 2023\nToday Date: ") + slot::kDate + "\n\n";
    const std::string with_rest = known + slot::kSystem + "<|eot_id|>";  // where no statement about tools comes between
    if (find([&](const std::string& p) { return p == known || p == with_rest; }) == nullptr)
      refuse("the stored Llama-3 template writes an unknown system header");
    out_.has_date_header_ = true;
    for (const OutlineItem& item : items_) {
      if (!item.is_statement) continue;
      std::string_view date = assigned(item.text, "date_string");
      const std::size_t call = date.find("strftime_now(");
      if (call != date.npos) {
        date = date.substr(call + std::string_view("strftime_now(").size());
        out_.date_format_ = pattern_of_expression(date.substr(0, date.rfind(')')));
      } else if (!date.empty()) {
        out_.fixed_date_ = pattern_of_expression(date);
      }
    }
    if (has_any_slot(out_.date_format_) || has_any_slot(out_.fixed_date_))
      refuse("the stored Llama-3 template's date is not understood");
  }

  /// The turns of the [INST] family.
  void read_instructions() {
    const std::string* user = find([](const std::string& p) {
      return has_content(p) && contains(p, "[INST]") && contains(p, "[/INST]") && !has_slot(p, slot::kSystem) &&
             !has_slot(p, slot::kUnknown);
    });
    const std::string* assistant = find([](const std::string& p) {
      return has_content(p) && has_slot(p, slot::kEos) && !contains(p, "[INST]") && !has_slot(p, slot::kUnknown);
    });
    if (user == nullptr || assistant == nullptr)
      refuse(fmt::format("the stored {} template writes messages in an unknown way", out_.name()));
    out_.user_turn_ = *user;
    out_.assistant_turn_ = *assistant;
    out_.alternates_ = true;
    read_generation_prompt({""});
  }

  void read_llama2() {
    out_.style_ = Style::llama2;
    read_instructions();
    out_.system_ = System::first_user;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!items_[i].is_statement) continue;
      const std::string content = pattern_of_expression(assigned(items_[i].text, "content"));
      if (contains(content, "<<SYS>>") && has_slot(content, slot::kSystem) && has_content(content))
        out_.user_turn_with_system_ = content;

      // A default is assigned under a condition that whoever wrote the template set to true or to false.
      const std::string_view value = assigned(items_[i].text, "system_message");
      const std::string system = pattern_of_expression(value);
      if (value.empty() || has_any_slot(system)) continue;
      const std::string& condition =
          items_[i >= 2 ? i - 2 : 0].text;  // {% elif … %}{% set loop_messages … %}{% set system_message … %}
      if (contains(condition, "true == true")) {
        out_.default_system_ = system;
      } else if (!contains(condition, "false == true")) {
        refuse("the stored Llama-2 template sets a default system message under an unknown condition");
      }
    }
    if (out_.user_turn_with_system_.empty())
      refuse("the stored Llama-2 template writes system messages in an unknown way");
  }

  void read_mistral() {
    out_.style_ = Style::mistral;
    if (contains(jinja_, "[SYSTEM_PROMPT]")) refuse("the stored Mistral template has system turns of its own");
    read_instructions();
    out_.system_ = System::refused;
    for (std::size_t i = 1; i < items_.size(); ++i) {
      const std::string& pattern = items_[i].text;
      if (items_[i].is_statement || !has_slot(pattern, slot::kSystem)) continue;
      const std::string& condition = items_[i - 1].text;
      if (contains(condition, "loop.last")) {
        out_.system_ = System::last_turn;
      } else if (contains(condition, "user_messages[-1]")) {
        out_.system_ = System::last_user;
      } else if (contains(condition, "loop.first") || contains(condition, "loop.index0 == 0")) {
        out_.system_ = System::first_user;
      }
      if (out_.system_ == System::refused || !has_content(pattern) || has_slot(pattern, slot::kUnknown))
        refuse("the stored Mistral template writes system messages in an unknown way");
      out_.user_turn_with_system_ = pattern;
    }
  }

  void read_zephyr() {
    out_.style_ = Style::zephyr;
    const auto turn = [&](std::string_view head) {
      const std::string known = std::string(head) + slot::kContent;
      const std::string* found = find([&](const std::string& p) {
        if (!untrimmed(p).starts_with(known)) return false;
        const std::string tail = trimmed(p.substr(known.size()));
        return tail == std::string{slot::kEos} || tail == "<|endoftext|>";
      });
      if (found == nullptr) refuse("the stored Zephyr template writes messages in an unknown way");
      return *found;
    };
    out_.user_turn_ = turn("<|user|>\n");
    out_.system_turn_ = turn("<|system|>\n");
    out_.assistant_turn_ = turn("<|assistant|>\n");
    read_generation_prompt({"<|assistant|>", "<|assistant|>\n"});
  }

  std::string_view jinja_;
  std::vector<OutlineItem> items_;
  ChatTemplate& out_;
};

ChatTemplate ChatTemplate::recognise(std::string_view jinja, std::string_view bos_text, std::string_view eos_text) {
  ChatTemplate chat;
  chat.bos_ = bos_text;
  chat.eos_ = eos_text;
  Reader(jinja, chat).read();
  return chat;
}

ChatTemplate ChatTemplate::recognise(const files::TokenizerSource& source) {
  std::string bos = source.bos_text(), eos = source.eos_text();
  if (source.kind == files::TokenizerSource::Kind::sentencepiece_model && (bos.empty() || eos.empty())) {
    const auto tokenizer = Tokenizer::make(source);
    if (bos.empty() && tokenizer->bos()) bos = tokenizer->piece(*tokenizer->bos());
    if (eos.empty() && tokenizer->eos()) eos = tokenizer->piece(*tokenizer->eos());
  }
  return recognise(source.chat_template, bos, eos);
}

std::string_view ChatTemplate::name() const { return kNames[static_cast<std::size_t>(style_)]; }

void ChatTemplate::check_roles(std::span<const ChatMessage> messages) const {
  const auto fail = [](std::string_view rule) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[chat template] {}", rule));
  };
  if (messages.empty()) fail("there must be a message");
  const bool begins_with_system = messages.front().role == "system";
  if (begins_with_system && system_ == System::refused) fail("this model's template takes no system message");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role != "user" && role != "assistant" && role != "system")
      fail(fmt::format("role \"{}\": must be system, user or assistant", role));
    const std::size_t turn = i - (begins_with_system ? 1 : 0);
    const bool is_system = begins_with_system && i == 0;
    if (alternates_ && !is_system && role != (turn % 2 == 0 ? "user" : "assistant"))
      fail("roles must alternate user, assistant, user, … after an optional system message");
  }
}

std::string ChatTemplate::fill(std::string_view pattern, const ChatMessage& message, std::string_view system) const {
  std::string out;
  for (const char c : pattern) {
    switch (c) {
      case slot::kRole: out += message.role; break;
      case slot::kContent: out += message.content; break;
      case slot::kTrimmedContent: out += trimmed(message.content); break;
      case slot::kBos: out += bos_; break;
      case slot::kEos: out += eos_; break;
      case slot::kSystem: out += system; break;
      default: out += c;
    }
  }
  return out;
}

/// The system message as a turn of its own, where it is one.
std::string ChatTemplate::system_turn(const std::optional<std::string>& system, const ChatOptions& options) const {
  if (has_date_header_) {
    const std::string& date = !options.date.empty()   ? options.date
                              : !date_format_.empty() ? today(date_format_)
                                                      : fixed_date_;
    return fmt::format(
        "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: "
        "{}\n\n{}<|eot_id|>",
        date, trimmed(system.value_or("")));
  }
  if (system_ != System::turn) return {};
  return system ? fill(system_turn_, {"system", *system}, {}) : default_system_turn_;
}

/// Whether the system message stands within turn i, a user's.
bool ChatTemplate::holds_system(std::span<const ChatMessage> messages, std::size_t i) const {
  if (system_ == System::first_user) return i == 0;
  if (system_ == System::last_turn) return i + 1 == messages.size();
  const auto is_user = [](const ChatMessage& m) { return m.role == "user"; };
  const auto last = std::find_if(messages.rbegin(), messages.rend(), is_user);
  return last != messages.rend() && messages[i].content == last->content;
}

/// An answer as a template of thinking models writes it: earlier ones without their thoughts, those that no question
/// follows (`is_open`) with them.
std::string ChatTemplate::answer(const std::string& content, bool is_open, bool is_last) const {
  constexpr std::string_view kBegin = "<think>", kEnd = "</think>";
  const auto stripped = [](std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of('\n'), text.size());
    return text.substr(begin, std::max(text.find_last_not_of('\n') + 1, begin) - begin);
  };
  std::string_view said = content, thought;
  if (const std::size_t end = said.rfind(kEnd); end != said.npos) {
    thought = said.substr(0, said.find(kEnd));
    if (const std::size_t begin = thought.rfind(kBegin); begin != thought.npos)
      thought.remove_prefix(begin + kBegin.size());
    thought = stripped(thought);
    said.remove_prefix(end + kEnd.size());
    said.remove_prefix(std::min(said.find_first_not_of('\n'), said.size()));
  }
  if (!keeps_open_thinking_ || !is_open || (!is_last && thought.empty())) return std::string(said);
  said.remove_prefix(std::min(said.find_first_not_of('\n'), said.size()));
  return fmt::format("{}\n{}\n{}\n\n{}", kBegin, thought, kEnd, said);
}

std::string ChatTemplate::render_turns(std::span<const ChatMessage> messages,
                                       const std::optional<std::string>& system) const {
  std::size_t open =
      messages.size();  // where the messages behind the last question begin; without a question there are none
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "user") open = i + 1;
  }
  std::string text;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ChatMessage message = messages[i];
    if (message.role == "assistant") {
      if (strips_thinking_) message.content = answer(message.content, i >= open, i + 1 == messages.size());
      text += fill(assistant_turn_, message, {});
    } else if (message.role == "system") {
      text += fill(system_turn_, message, {});
    } else if (!system || system_ == System::turn || !holds_system(messages, i)) {
      text += fill(user_turn_, message, {});
    } else if (style_ == Style::llama2) {
      // Llama 2 puts the two together first, and trims them together.
      message.content = fill(user_turn_with_system_, message, *system);
      text += fill(user_turn_, message, {});
    } else {
      text += fill(user_turn_with_system_, message, *system);
    }
  }
  return text;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, const ChatOptions& options) const {
  check_roles(messages);
  std::optional<std::string> system;
  if (messages.front().role == "system") {
    system = messages.front().content;
    messages = messages.subspan(1);
  } else if (style_ == Style::llama2 && !default_system_.empty() && !contains(messages.front().content, "<<SYS>>")) {
    system = default_system_;
  }
  std::string text = fill(lead_, {}, {});
  text += system_turn(system, options);
  text += render_turns(messages, system);
  if (options.add_generation_prompt) text += generation_prompt_;
  return text;
}

}  // namespace llm
}  // namespace v0
}  // namespace nibble
