// Chat templates against what transformers' Jinja environment renders (tests/goldens/chat_templates.py).

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "adapters/llm/tokenizer/chat_template.h"
#include "nibble/error.h"
#include "tests/support/json_files.h"

namespace nibble::llm {
namespace {

using tests::Json, tests::read_file, tests::read_json;

std::vector<ChatMessage> messages_of(const Json& chat) {
  std::vector<ChatMessage> messages;
  for (const Json& message : chat) messages.push_back({message["role"], message["content"]});
  return messages;
}

std::vector<Json> cases(const char* key) { return read_json(tests::goldens() / "chat_templates.json")[key]; }

std::string case_name(const testing::TestParamInfo<Json>& info) {
  std::string name = info.param["name"];
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

class KnownTemplate : public testing::TestWithParam<Json> {};

TEST_P(KnownTemplate, RendersAsTransformersDoes) {
  const Json& golden = GetParam();
  std::string text;
  if (golden["template"].is_null()) {  // Qwen3's own, which is not in the repository
    const auto path = tests::shared_data() / "tokenizers/qwen3/chat_template.jinja";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "skipped: no ../shared/data";
    text = read_file(path);
  } else {
    text = golden["template"];
  }
  const std::string bos = golden["bos"], eos = golden["eos"];
  const ChatTemplate chat = ChatTemplate::recognise(text, bos, eos);
  EXPECT_EQ(chat.name(), golden["style"].get<std::string>());

  const std::vector<Json> chats = cases("chats");
  for (std::size_t i = 0; i < chats.size(); ++i) {
    const std::vector<ChatMessage> messages = messages_of(chats[i]);
    for (const bool prompt : {true, false}) {
      const Json& expected = golden[prompt ? "rendered" : "closed"][i];
      const ChatOptions options{.add_generation_prompt = prompt, .date = golden["date"]};
      if (expected.is_null()) {
        EXPECT_THROW(chat.render(messages, options), Error) << "chat " << i;
      } else {
        EXPECT_EQ(chat.render(messages, options), expected.get<std::string>()) << "chat " << i;
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Goldens, KnownTemplate, testing::ValuesIn(cases("known")), case_name);

class UnknownTemplate : public testing::TestWithParam<Json> {};

TEST_P(UnknownTemplate, IsRefusedWithAHint) {
  try {
    ChatTemplate::recognise(GetParam()["template"].get<std::string>(), "<s>", "</s>");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find("raw text"), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
  }
}
INSTANTIATE_TEST_SUITE_P(Goldens, UnknownTemplate, testing::ValuesIn(cases("refused")), case_name);

class TinyModel : public testing::TestWithParam<const char*> {};

TEST_P(TinyModel, RendersItsOwnTemplate) {
  const auto folder = tests::models() / GetParam();
  const Json config = read_json(folder / "tokenizer_config.json");
  const Json golden = read_json(folder / "tokenizer_cases.json");
  const auto text_of = [&](const char* key) {
    const Json value = config.value(key, Json());
    return value.is_object()   ? value["content"].get<std::string>()
           : value.is_string() ? value.get<std::string>()
                               : std::string();
  };
  const ChatTemplate chat =
      ChatTemplate::recognise(config["chat_template"].get<std::string>(), text_of("bos_token"), text_of("eos_token"));
  for (const Json& one : golden["chats"])
    EXPECT_EQ(chat.render(messages_of(one["messages"])), one["text"].get<std::string>());
}
INSTANTIATE_TEST_SUITE_P(Models, TinyModel, testing::Values("llama", "mistral", "qwen2", "qwen3"),
                         [](const auto& info) { return std::string(info.param); });

Json golden_named(const std::string& name) {
  for (const Json& golden : cases("known"))
    if (golden["name"] == name) return golden;
  throw std::runtime_error("no golden " + name);
}

ChatTemplate known(const std::string& name) {
  const Json golden = golden_named(name);
  return ChatTemplate::recognise(golden["template"].get<std::string>(), golden["bos"].get<std::string>(),
                                 golden["eos"].get<std::string>());
}

const std::vector<ChatMessage> kQuestion = {{"user", "What is gravity?"}};

TEST(ChatTemplate, TellsItsDefaultSystemMessage) {
  EXPECT_EQ(known("smollm2").default_system(), "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  EXPECT_EQ(known("qwen2.5").default_system(), "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
  EXPECT_EQ(known("chatml").default_system(), "");
  EXPECT_EQ(known("llama-2-no-default").default_system(), "");
}

TEST(ChatTemplate, WritesTodaysDateWhereItsTemplateDoes) {
  const ChatTemplate chat = known("llama-3.2");
  const std::string marker = "Today Date: ";
  const auto date_of = [&](const std::string& text) {
    const std::size_t at = text.find(marker) + marker.size();
    return text.substr(at, text.find('\n', at) - at);
  };
  const std::string date = date_of(chat.render(kQuestion));
  EXPECT_EQ(date.size(), 11u) << date;  // 03 Feb 2031
  EXPECT_NE(date, "26 Jul 2024");
  EXPECT_EQ(date_of(known("llama-3.1").render(kQuestion)), "26 Jul 2024");
}

TEST(ChatTemplate, LeavesTheAnswersBeginningOutWhenAsked) {
  const ChatTemplate chat = known("chatml");
  const std::string whole = chat.render(kQuestion);
  const std::string head = chat.render(kQuestion, {.add_generation_prompt = false, .date = {}});
  EXPECT_EQ(whole, head + "<|im_start|>assistant\n");
}

TEST(ChatTemplate, RefusesRolesItCannotPlace) {
  using Chat = std::vector<ChatMessage>;
  const ChatTemplate chatml = known("chatml"), mistral = known("mistral-v0.1"), llama = known("llama-2");
  EXPECT_THROW(chatml.render(Chat{}), Error);
  EXPECT_THROW(chatml.render(Chat{{"tool", "x"}, {"user", "x"}}), Error);
  EXPECT_THROW(mistral.render(Chat{{"system", "x"}, {"user", "x"}}), Error);
  EXPECT_THROW(llama.render(Chat{{"user", "x"}, {"user", "y"}}), Error);
}

TEST(ChatTemplate, SurvivesBrokenTemplates) {
  const std::string text = golden_named("llama-3.1")["template"];
  for (std::size_t length = 0; length < text.size(); ++length) {
    try {
      ChatTemplate::recognise(std::string_view(text).substr(0, length), "<s>", "</s>");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
    }
  }
}

}  // namespace
}  // namespace nibble::llm
