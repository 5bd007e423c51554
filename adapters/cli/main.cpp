// The `nibble` program: a table of commands, one file each.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "adapters/cli/command.h"
#include "adapters/cli/interruption.h"
#include "nibble/error.h"

namespace nibble::cli {
namespace {

struct CommandRow {
  const char* name;
  const char* summary;
  std::unique_ptr<Command> (*make)();
};
constexpr CommandRow kCommands[] = {
    {"devices", "what operations can run on here", make_devices},
    {"formats", "every weight format, as a page", make_formats},
    {"info", "every tensor of a model, its totals and its tokenizer", make_info},
    {"quantize", "pack a model, into a folder or a .gguf file", make_quantize},
    {"convert", "write a model as a folder or a .gguf file", make_convert},
    {"compare", "how far the tensors of a model are from another's", make_compare},
    {"chat", "talk with a model, turn by turn", make_chat},
    {"generate", "continue a prompt", make_generate},
    {"perplexity", "how well a model foretells texts, each file alone", make_perplexity},
    {"logits", "the logits after each token, as an .npy file", make_logits},
    {"tokenize", "the token ids of a text", make_tokenize},
};
constexpr const char* kJson = "--json";
constexpr const char* kBench = "bench";  // a word before one of these
constexpr CommandRow kBenchCommands[] = {
    {"limits", "what this machine can read and compute at most", make_bench_limits},
    {"matmul", "products with weights of every format", make_bench_matmul},
    {"attention", "scaled dot product attention over a cache", make_bench_attention},
    {"experts", "products with the experts of a mixture", make_bench_experts},
    {"model", "a whole model: prefill and decode", make_bench_model},
    {"open", "from a file in the page cache to a first token", make_bench_open},
    {"quantize", "packing weights", make_bench_quantize},
};

/// A result or an error as the one JSON object on standard output.
void print_json(const Json& object) { fmt::print("{}\n", object.dump(-1, ' ', false, Json::error_handler_t::replace)); }

int fail(const Console& console, std::string_view code, std::string_view message) {
  std::fflush(stdout);
  if (console.json) {
    print_json({{"error", {{"code", code}, {"message", message}}}});
  } else {
    fmt::print(stderr, "nibble: {}\n", message);
  }
  return 1;
}

/// The first line of CLI11's complaints: the rest repeats it.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// CLI11 only says that some command is missing.
void require_known_command(std::string_view text, std::span<const CommandRow> rows, std::string_view more = {}) {
  std::string known;
  for (const CommandRow& row : rows) {
    if (text == row.name) return;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  const std::string what = text.empty() ? "no command given" : fmt::format("{}: no such command", text);
  throw Error(ErrorCode::invalid_argument, fmt::format("{}; there are {}{}", what, known, more));
}

void require_known_command(int argc, char** argv) {
  const int begin = argc > 1 && std::string_view(argv[1]) == kJson ? 2 : 1;
  const std::string_view first = argc > begin ? argv[begin] : "", second = argc > begin + 1 ? argv[begin + 1] : "";
  if (first.starts_with('-')) return;
  if (first != kBench) return require_known_command(first, kCommands, fmt::format(", {}", kBench));
  if (second == "-h" || second == "--help") return;
  require_known_command(second.starts_with('-') ? "" : second, kBenchCommands);
}

/// The commands that can be given, each with what CLI11 knows of it.
using Declared = std::vector<std::pair<CLI::App*, std::unique_ptr<Command>>>;

void declare(CLI::App& app, std::span<const CommandRow> rows, Console& console, Declared* declared) {
  app.require_subcommand(1);
  for (const CommandRow& row : rows) {
    CLI::App* sub = app.add_subcommand(row.name, row.summary);
    declared->emplace_back(sub, row.make());
    Arguments arguments(*sub);
    declared->back().second->declare(arguments);
    sub->add_flag(kJson, console.json, "one JSON object on standard output");
  }
}

int run(int argc, char** argv) {
  // Known before the options are, so that a complaint about them is JSON too.
  Console console;
  for (int i = 1; i < argc; ++i) console.json = console.json || std::string_view(argv[i]) == kJson;

  CLI::App app("nibble: language models on packed weights", "nibble");
  app.add_flag(kJson, console.json, "one JSON object on standard output; as well behind the command");
  app.set_version_flag("--version", "nibble " NIBBLE_VERSION, "which release this is");
  Declared commands;
  declare(app, kCommands, console, &commands);
  declare(*app.add_subcommand(kBench, "how fast all this is here"), kBenchCommands, console, &commands);
  try {
    require_known_command(argc, argv);
    app.parse(argc, argv);
    for (auto& [sub, command] : commands) {
      if (!sub->parsed()) continue;
      const Json result = command->run(console);
      if (console.json) {
        print_json(result);
      } else {
        command->print(result);
      }
    }
    const bool lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;  // some of it maybe long ago
    if (lost) return fail({}, "io_error", "standard output cannot be written");
    return 0;
  } catch (const Interrupted& interrupted) {
    end_by(interrupted);
  } catch (const CLI::CallForHelp&) {
    return app.exit(CLI::CallForHelp());
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& e) {
    return fail(console, name(ErrorCode::invalid_argument), first_line(e.what()));
  } catch (const Error& e) {
    return fail(console, name(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return fail(console, name(ErrorCode::out_of_memory), "out of memory");
  } catch (const std::exception& e) {
    return fail(console, "internal", first_line(e.what()));
  }
}

}  // namespace
}  // namespace nibble::cli

int main(int argc, char** argv) { return nibble::cli::run(argc, argv); }
