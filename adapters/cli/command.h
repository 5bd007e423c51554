#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "adapters/cli/arguments.h"

namespace nibble::cli {

using Json = nlohmann::ordered_json;

/// How the program speaks: one JSON object at the end, or text for people as it comes.
struct Console {
  bool json = false;
};

/// One command of the program. It lives from the reading of its options to the printing of its result.
class Command {
 public:
  virtual ~Command() = default;
  /// Names its options and where their values go.
  virtual void declare(Arguments& arguments) = 0;
  /// Does the work; the result is what `--json` prints. Text that appears while it works is printed here, unless
  /// `console.json`. Throws nibble::Error.
  virtual Json run(const Console& console) = 0;
  /// Prints the result for people.
  virtual void print(const Json& result) const = 0;
};

std::unique_ptr<Command> make_devices();
std::unique_ptr<Command> make_formats();
std::unique_ptr<Command> make_info();
std::unique_ptr<Command> make_quantize();
std::unique_ptr<Command> make_convert();
std::unique_ptr<Command> make_compare();
std::unique_ptr<Command> make_chat();
std::unique_ptr<Command> make_generate();
std::unique_ptr<Command> make_perplexity();
std::unique_ptr<Command> make_logits();
std::unique_ptr<Command> make_tokenize();
std::unique_ptr<Command> make_bench_limits();
std::unique_ptr<Command> make_bench_matmul();
std::unique_ptr<Command> make_bench_attention();
std::unique_ptr<Command> make_bench_experts();
std::unique_ptr<Command> make_bench_model();
std::unique_ptr<Command> make_bench_open();
std::unique_ptr<Command> make_bench_quantize();

}  // namespace nibble::cli
