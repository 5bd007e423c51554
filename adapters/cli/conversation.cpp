#include "adapters/cli/conversation.h"

#include <cstdio>

namespace nibble::cli {

std::vector<std::int32_t> encode_chat(const LoadedModel& loaded, std::span<const llm::ChatMessage> messages) {
  const auto chat = llm::ChatTemplate::recognise(loaded.checkpoint.tokenizer());
  return loaded.tokenizer().encode(chat.render(messages));
}

std::set<std::int32_t> end_tokens(const files::Checkpoint& checkpoint) {
  std::set<std::int32_t> ids;
  for (const std::int64_t id : checkpoint.eos_token_ids()) ids.insert(static_cast<std::int32_t>(id));
  return ids;
}

void TextPrinter::put(const std::string& piece) {
  if (piece.empty()) return;
  text_ += piece;
  if (!echo_) return;
  std::fwrite(piece.data(), 1, piece.size(), stdout);
  std::fflush(stdout);
}

}  // namespace nibble::cli
