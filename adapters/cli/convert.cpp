#include <nlohmann/json.hpp>
#include <string>

#include "adapters/cli/command.h"
#include "adapters/cli/model_output.h"

namespace nibble::cli {
namespace {

class Convert final : public Command {
 public:
  void declare(Arguments& arguments) override {
    output_.declare(arguments);
    arguments.option(
        "--to", &output_.to,
        "gguf, mlx or safetensors: nothing is rounded, what cannot be said there is refused; safetensors keeps "
        "another packer's method and bytes. Without it what config.json cannot name becomes dense");
    arguments.option("--requantize", &requantize_, "a format for what --to would refuse: q8_0, affine4-g64, ...");
    arguments.flag("--dequantize", &dequantize_, "every tensor dense");
  }

  Json run(const Console&) override {
    return output_.write([&](files::WriteOptions& options) {
      options.dequantize = dequantize_;
      if (!requantize_.empty()) options.requantize = files::make_pack_plan(requantize_);
    });
  }

  void print(const Json& result) const override { ModelOutput::print(result); }

 private:
  ModelOutput output_;
  std::string requantize_;
  bool dequantize_ = false;
};

}  // namespace

std::unique_ptr<Command> make_convert() { return std::make_unique<Convert>(); }

}  // namespace nibble::cli
