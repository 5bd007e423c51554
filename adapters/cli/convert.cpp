#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "adapters/cli/folder_output.h"

namespace nibble::cli {
namespace {

class Convert final : public Command {
 public:
  void declare(Arguments& arguments) override {
    output_.declare(arguments);
    arguments.flag("--dequantize", &dequantize_, "every tensor dense; without it MLX's packing is kept");
  }

  Json run(const Console&) override {
    return output_.write([&](files::FolderOptions& options) { options.dequantize = dequantize_; });
  }

  void print(const Json& result) const override { FolderOutput::print(result); }

 private:
  FolderOutput output_;
  bool dequantize_ = false;
};

}  // namespace

std::unique_ptr<Command> make_convert() { return std::make_unique<Convert>(); }

}  // namespace nibble::cli
