#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "adapters/cli/folder_output.h"

namespace nibble::cli {
namespace {

class Quantize final : public Command {
 public:
  void declare(Arguments& arguments) override {
    output_.declare(arguments);
    arguments.option("--bits", &bits_, "of a weight: 2, 3, 4, 5, 6 or 8");
    arguments.option("--group-size", &group_size_, "weights that share a scale: 32, 64 or 128");
    arguments.option("--keep", &keep_, "a glob of tensors or modules that stay dense; may be repeated");
  }

  Json run(const Console&) override {
    const files::PackPlan plan = files::make_pack_plan(fmt::format("affine{}-g{}", bits_, group_size_), keep_);
    return output_.write([&](files::FolderOptions& options) { options.plan = plan; });
  }

  void print(const Json& result) const override { FolderOutput::print(result); }

 private:
  FolderOutput output_;
  int bits_ = 4, group_size_ = 64;
  std::vector<std::string> keep_;
};

}  // namespace

std::unique_ptr<Command> make_quantize() { return std::make_unique<Quantize>(); }

}  // namespace nibble::cli
