#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "adapters/cli/loaded_model.h"
#include "adapters/cli/options.h"
#include "adapters/files/checkpoint.h"

namespace nibble::cli {
namespace {

class Tokenize final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.required("MODEL", &path_, "a model folder or a .gguf file");
    arguments.required("--text", &text_, "the file to read");
    arguments.flag("--no-bos", &no_bos_, "without the BOS that some tokenizers put first");
  }

  Json run(const Console&) override {
    const files::Checkpoint checkpoint = files::Checkpoint::open(path_);
    const auto tokenizer = llm::Tokenizer::make(checkpoint.tokenizer());
    const std::string text = read_text(text_);
    return {{"tokens", no_bos_ ? tokenizer->encode(text) : encode_text(*tokenizer, text)}};
  }

  void print(const Json& result) const override {
    fmt::print("{}\n", fmt::join(result["tokens"].get<std::vector<std::int32_t>>(), ","));
  }

 private:
  std::string path_, text_;
  bool no_bos_ = false;
};

}  // namespace

std::unique_ptr<Command> make_tokenize() { return std::make_unique<Tokenize>(); }

}  // namespace nibble::cli
