#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "adapters/cli/command.h"
#include "adapters/cli/model_output.h"
#include "adapters/cli/options.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

class Quantize final : public Command {
 public:
  void declare(Arguments& arguments) override {
    output_.declare(arguments);
    arguments.option("--bits", &bits_, "of a weight: 2, 3, 4, 5, 6 or 8");
    arguments.option("--group-size", &group_size_, "weights that share a scale: 32, 64 or 128");
    arguments.option("--format", &format_,
                     "mxfp4, nf4, fp8-e4m3, int8, affine4-g64, ...; into a .gguf file q4_K, q8_0, mxfp4, ...; in place "
                     "of these two");
    arguments.option("--per-module", &modules_,
                     "a JSON file: globs of tensors or modules, the format of each or false");
    arguments.option("--keep", &keep_, "a glob of tensors or modules that stay dense; may be repeated");
  }

  Json run(const Console&) override {
    if (format_.empty()) require_format();
    const std::string format = format_.empty() ? fmt::format("affine{}-g{}", bits_, group_size_) : format_;
    files::PackPlan plan = files::make_pack_plan(format, keep_);
    if (!modules_.empty()) files::read_modules(modules_, &plan);
    return output_.write([&](files::WriteOptions& options) { options.plan = plan; });
  }

  void print(const Json& result) const override { ModelOutput::print(result); }

 private:
  void require_format() const {
    const auto exists = [](int bits, int group_size) {
      return format_info(fmt::format("affine{}-g{}", bits, group_size)).has_value();
    };
    constexpr int kUsualGroup = 64;
    if (!exists(bits_, kUsualGroup)) refuse(fmt::format("--bits {}: 2, 3, 4, 5, 6 or 8", bits_));
    if (!exists(bits_, group_size_)) refuse(fmt::format("--group-size {}: 32, 64 or 128", group_size_));
  }

  ModelOutput output_;
  int bits_ = 4, group_size_ = 64;
  std::string format_, modules_;
  std::vector<std::string> keep_;
};

}  // namespace

std::unique_ptr<Command> make_quantize() { return std::make_unique<Quantize>(); }

}  // namespace nibble::cli
