#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "adapters/cli/loaded_model.h"
#include "adapters/cli/options.h"
#include "adapters/llm/tokenizer/chat_template.h"

namespace nibble::cli {

/// The ids of a conversation in the model's own template, ready for the answer.
std::vector<std::int32_t> encode_chat(const LoadedModel& loaded, std::span<const llm::ChatMessage> messages);

/// The tokens at which an answer ends.
std::set<std::int32_t> end_tokens(const files::Checkpoint& checkpoint);

/// Collects an answer token by token, and writes it to standard output as it comes if `echo`.
class TextPrinter {
 public:
  /// `continues`: the answer goes on with a text, so a space at its front is its own.
  TextPrinter(const llm::Tokenizer& tokenizer, bool continues, bool echo)
      : stream_(tokenizer, continues), echo_(echo) {}

  void add(std::int32_t token) { put(stream_.add(token)); }
  void finish() { put(stream_.finish()); }
  const std::string& text() const { return text_; }

 private:
  void put(const std::string& piece);

  llm::TextStream stream_;
  bool echo_;
  std::string text_;
};

}  // namespace nibble::cli
