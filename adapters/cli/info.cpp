#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "adapters/cli/command.h"
#include "adapters/files/checkpoint.h"

namespace nibble::cli {
namespace {

using files::TokenizerSource;

Json describe_tokenizer(const TokenizerSource& source) {
  struct Row {
    TokenizerSource::Kind kind;
    const char* name;
  };
  constexpr Row kKinds[] = {{TokenizerSource::Kind::none, "none"},
                            {TokenizerSource::Kind::sentencepiece_model, "sentencepiece"},
                            {TokenizerSource::Kind::sentencepiece_pieces, "sentencepiece"},
                            {TokenizerSource::Kind::byte_level_bpe, "byte-level BPE"}};
  const auto* row =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Row& r) { return r.kind == source.kind; });
  Json described = {{"kind", row->name}};
  if (!source.tokens.empty()) described["vocabulary"] = source.tokens.size();
  if (!source.pre_tokenizer.empty()) described["pre_tokenizer"] = source.pre_tokenizer;
  if (!source.unsupported.empty()) described["unsupported"] = source.unsupported;
  described["chat_template"] = !source.chat_template.empty();
  return described;
}

class Info final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.required("MODEL", &path_,
                       "a Hugging Face or mlx-lm folder, or a .gguf or .onnx file, of any architecture");
  }

  Json run(const Console&) override {
    const files::Checkpoint checkpoint = files::Checkpoint::open(path_);
    std::int64_t parameters = 0;
    std::uint64_t dense_bytes = 0, weight_bytes = 0;
    Json rows = Json::array();
    for (const files::TensorInfo& info : checkpoint.tensors()) {
      const std::int64_t count = info.shape.numel();
      parameters += count;
      dense_bytes += static_cast<std::uint64_t>(count) * itemsize(info.dtype);
      weight_bytes += info.bytes;
      rows.push_back({{"name", info.name},
                      {"shape", std::vector<std::int64_t>(info.shape.begin(), info.shape.end())},
                      {"dtype", name(info.dtype)},
                      {"format", info.packed ? info.format : "dense"},
                      {"bytes", info.bytes}});
      if (info.reordered) rows.back()["reordered"] = true;
      if (info.transposed) rows.back()["transposed"] = true;
    }
    const double bits = parameters == 0 ? 0 : 8.0 * static_cast<double>(weight_bytes) / static_cast<double>(parameters);
    return {{"architecture", checkpoint.architecture()},
            {"parameters", parameters},
            {"dense_bytes", dense_bytes},
            {"weight_bytes", weight_bytes},
            {"bits_per_weight", bits},
            {"tokenizer", describe_tokenizer(checkpoint.tokenizer())},
            {"tensors", std::move(rows)}};
  }

  void print(const Json& result) const override {
    std::size_t widest = 4;
    for (const Json& row : result["tensors"])
      widest = std::max(widest, row["name"].get_ref<const std::string&>().size());
    fmt::print("{:<{}}  {:>16}  {:<5}  {:<12}  {:>12}\n", "name", widest, "shape", "dtype", "format", "bytes");
    for (const Json& row : result["tensors"]) {
      fmt::print("{:<{}}  {:>16}  {:<5}  {:<12}  {:>12}\n", row["name"].get<std::string>(), widest, row["shape"].dump(),
                 row["dtype"].get<std::string>(), row["format"].get<std::string>(), row["bytes"].get<std::uint64_t>());
    }
    const std::string& architecture = result["architecture"].get_ref<const std::string&>();
    fmt::print("architecture {} · {} parameters · {} bytes ({:.2f} bits a weight; dense {} bytes)\n",
               architecture.empty() ? "unknown" : architecture, result["parameters"].get<std::int64_t>(),
               result["weight_bytes"].get<std::uint64_t>(), result["bits_per_weight"].get<double>(),
               result["dense_bytes"].get<std::uint64_t>());
    const Json& tokenizer = result["tokenizer"];
    fmt::print("tokenizer {}", tokenizer["kind"].get<std::string>());
    if (tokenizer.contains("vocabulary")) fmt::print(", {} tokens", tokenizer["vocabulary"].get<std::int64_t>());
    if (tokenizer.contains("unsupported")) fmt::print(" ({})", tokenizer["unsupported"].get<std::string>());
    fmt::print(", {} chat template\n", tokenizer["chat_template"].get<bool>() ? "with" : "without");
  }

 private:
  std::string path_;
};

}  // namespace

std::unique_ptr<Command> make_info() { return std::make_unique<Info>(); }

}  // namespace nibble::cli
