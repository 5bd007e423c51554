#include "tests/fuzz/readers.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/files/tokenizer_source.h"
#include "adapters/llm/tokenizer/chat_template.h"
#include "adapters/llm/tokenizer/tokenizer.h"
#include "nibble/error.h"
#include "nibble/io.h"
#include "nibble/lora.h"
#include "nibble/ops.h"
#include "tests/files/allocation_count.h"
#include "tests/support/test_files.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
namespace fs = std::filesystem;

/// Runs a step that may refuse what it is given; the next one is tried all the same.
void attempt(const std::function<void()>& step) {
  try {
    step();
  } catch (const nb::Error& error) {
    const std::string_view text = error.what();
    if (text.empty() || text.find('\n') != text.npos)
      throw std::logic_error("an error is one line, not: " + std::string(text));
  }
}

/// An input of several files: a zero byte ends each but the last. What is missing is empty.
template <std::size_t N>
std::array<std::string_view, N> split(std::string_view bytes) {
  std::array<std::string_view, N> parts{};
  for (std::size_t i = 0; i < N; ++i) {
    const std::size_t end = i + 1 < N ? bytes.find('\0') : bytes.npos;
    parts[i] = bytes.substr(0, end);
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
  }
  return parts;
}

/// The length in front is made right: an input that grows stays a file.
std::string safetensors_of(std::string_view header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file.append(header).append(data);
}

/// Every value is looked at: those of a packed tensor are decoded.
void use(const nb::Tensor& tensor) {
  constexpr std::int64_t kMost = 1 << 14;
  if (tensor.numel() > kMost) return;
  const nb::Tensor values = nb::contiguous(tensor.is_quantized() ? nb::dequantize(tensor, nb::DType::f32) : tensor);
  const auto* bytes = static_cast<const unsigned char*>(values.raw_data());
  volatile unsigned sum = 0;
  for (std::uint64_t i = 0; i < values.nbytes(); ++i) sum = sum + bytes[i];
}

void use(const nb::TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) use(tensor);
}

void use(const nb::files::TokenizerSource& source) {
  attempt([&] {
    const auto tokenizer = nb::llm::Tokenizer::make(source);
    const std::vector<int> ids = tokenizer->encode("Hello, w\xC3\xB6rld!  12 </s>\n <|im_end|>\xE4\xBD\xA0");
    tokenizer->decode(ids, /*with_control=*/true);
    for (int id = 0; id < tokenizer->vocab_size(); ++id) tokenizer->bytes(id);
  });
  attempt([&] {
    const auto chat = nb::llm::ChatTemplate::recognise(source);
    const std::vector<nb::llm::ChatMessage> messages{{"user", "a"}, {"assistant", "<think>b</think>c"}, {"user", "d"}};
    chat.render(messages);
  });
}

void use(const nb::files::Checkpoint& model) {
  attempt([&] { model.config(); });
  attempt([&] { use(model.tokenizer()); });
  attempt([&] { model.eos_token_ids(); });
  for (const nb::files::TensorInfo& tensor : model.tensors()) attempt([&] { use(model.get(tensor.name)); });
}

// ---- one function a row ---------------------------------------------------------------------------------------------

void read_safetensors(const fs::path& folder, std::string_view bytes) {
  nb::tests::write_file(folder / "w.safetensors", bytes);
  use(nb::load_safetensors(folder / "w.safetensors").tensors);
}

void read_gguf(const fs::path& folder, std::string_view bytes) {
  nb::tests::write_file(folder / "m.gguf", bytes);
  use(nb::files::Checkpoint::open(folder / "m.gguf"));
}

/// A model in two files: the length of the first one stands in front.
void read_gguf_parts(const fs::path& folder, std::string_view bytes) {
  std::uint32_t length = 0;
  if (bytes.size() < sizeof length) return;
  std::memcpy(&length, bytes.data(), sizeof length);
  bytes.remove_prefix(sizeof length);
  nb::tests::write_file(folder / "m-00001-of-00002.gguf", bytes.substr(0, length));
  nb::tests::write_file(folder / "m-00002-of-00002.gguf", bytes.substr(std::min<std::size_t>(length, bytes.size())));
  use(nb::files::Checkpoint::open(folder / "m-00002-of-00002.gguf"));
}

void read_config(const fs::path& folder, std::string_view bytes) {
  const auto [config, generation] = split<2>(bytes);
  nb::tests::write_file(folder / "config.json", config);
  nb::tests::write_file(folder / "generation_config.json", generation.empty() ? "{}" : generation);
  nb::tests::write_file(folder / "model.safetensors", safetensors_of("{}", ""));
  use(nb::files::Checkpoint::open(folder));
}

/// MLX's folders, and those of every packer that config.json can name.
void read_folder(const fs::path& folder, std::string_view bytes) {
  const auto [config, header, data] = split<3>(bytes);
  nb::tests::write_file(folder / "config.json", config);
  nb::tests::write_file(folder / "model.safetensors", safetensors_of(header, data));
  use(nb::files::Checkpoint::open(folder));
}

void read_packers_own_file(const fs::path& folder, std::string_view bytes) {
  const auto parts = split<3>(bytes);
  nb::tests::write_file(folder / "model.safetensors", safetensors_of(parts[1], parts[2]));
  for (const char* name : {"quantize_config.json", "quant_config.json"}) {
    attempt([&] {
      nb::tests::write_file(folder / name, parts[0]);
      use(nb::files::Checkpoint::open(folder));
    });
    fs::remove(folder / name);
  }
}

void read_index(const fs::path& folder, std::string_view bytes) {
  const auto [index, header, data] = split<3>(bytes);
  nb::tests::write_file(folder / "model.safetensors.index.json", index);
  nb::tests::write_file(folder / "model.safetensors", safetensors_of(header, data));
  use(nb::files::Checkpoint::open(folder));
}

/// With data for tensors that lie outside, the same for all.
void read_onnx(const fs::path& folder, std::string_view bytes) {
  nb::tests::write_file(folder / "m.onnx", bytes);
  nb::tests::write_file(folder / "onnx_weights.onnx.data", std::string(1024, '\1'));
  use(nb::files::Checkpoint::open(folder / "m.onnx"));
}

void read_lora(const fs::path& folder, std::string_view bytes) {
  const auto parts = split<3>(bytes);
  nb::tests::write_file(folder / "adapter_config.json", parts[0]);
  for (const char* name : {"adapter_model.safetensors", "adapters.safetensors"}) {
    attempt([&] {
      nb::tests::write_file(folder / name, safetensors_of(parts[1], parts[2]));
      for (const auto& [module, weights] : nb::load_lora(folder)) use(weights.a), use(weights.b);
    });
    fs::remove(folder / name);
  }
}

/// tokenizer.json, and tokenizer_config.json beside it.
void read_tokenizer_json(const fs::path& folder, std::string_view bytes) {
  const auto [tokenizer, config] = split<2>(bytes);
  nb::tests::write_file(folder / "tokenizer.json", tokenizer);
  nb::tests::write_file(folder / "tokenizer_config.json", config.empty() ? "{}" : config);
  use(nb::files::read_tokenizer_folder(folder));
}

void read_vocabulary(const fs::path& folder, std::string_view bytes) {
  const auto [vocabulary, merges, config, added, roles] = split<5>(bytes);
  nb::tests::write_file(folder / "vocab.json", vocabulary);
  nb::tests::write_file(folder / "merges.txt", merges);
  nb::tests::write_file(folder / "tokenizer_config.json", config.empty() ? "{}" : config);
  nb::tests::write_file(folder / "added_tokens.json", added.empty() ? "{}" : added);
  nb::tests::write_file(folder / "special_tokens_map.json", roles.empty() ? "{}" : roles);
  use(nb::files::read_tokenizer_folder(folder));
}

void read_sentencepiece(const fs::path& folder, std::string_view bytes) {
  const auto [config, model] = split<2>(bytes);
  nb::tests::write_file(folder / "tokenizer_config.json", config);
  nb::tests::write_file(folder / "tokenizer.model", model);
  use(nb::files::read_tokenizer_folder(folder));
}

void read_chat_template(const fs::path&, std::string_view bytes) {
  nb::files::TokenizerSource source;
  source.chat_template = bytes;
  use(source);
}

constexpr Reader kReaders[] = {
    {"safetensors", read_safetensors},
    {"gguf", read_gguf},
    {"gguf_parts", read_gguf_parts},
    {"config", read_config},
    {"folder", read_folder},
    {"packers_own_file", read_packers_own_file},
    {"index", read_index},
    {"onnx", read_onnx},
    {"lora", read_lora},
    {"tokenizer_json", read_tokenizer_json},
    {"vocabulary", read_vocabulary},
    {"sentencepiece", read_sentencepiece},
    {"chat_template", read_chat_template},
};

}  // namespace

std::span<const Reader> readers() { return kReaders; }

const Reader* find_reader(std::string_view name) {
  const auto* found = std::ranges::find(kReaders, name, &Reader::name);
  return found == std::end(kReaders) ? nullptr : found;
}

void feed(const Reader& reader, const fs::path& folder, std::string_view bytes) {
  constexpr std::uint64_t kAlways = 16 << 20, kEachByte = 4;
  const PeakOfNew peak;
  attempt([&] { reader.read(folder, bytes); });
  if (const std::uint64_t allocated = peak.bytes(); allocated > kAlways + kEachByte * bytes.size())
    throw std::logic_error(std::to_string(allocated) + " bytes at once for an input of " +
                           std::to_string(bytes.size()));
}

}  // namespace nibble_test
