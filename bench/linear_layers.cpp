// What a decoder model spends in its linear layers, of all that it spends on a token.
//
//   bench_linear_layers MODEL PROMPT TOKENS
//
// prints {"ms", "linear_ms"}: medians of TOKENS tokens behind PROMPT ones, on the CPU, where work is done when a call
// returns. The model is the one that `nibble generate` runs: the linker alone puts a clock around the layers' own call
// (--wrap in CMakeLists.txt).

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

#include "adapters/files/checkpoint.h"
#include "adapters/llm/generate.h"
#include "adapters/llm/loader.h"

namespace nb = nibble;

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

// `Tensor llm::Linear::operator()(const Tensor&) const` as the linker calls it, and as whoever calls it now finds it.
#define LINEAR_CALL "_ZNK6nibble2v03llm6LinearclERKNS0_6TensorE"
nb::Tensor linear_itself(const nb::llm::Linear* self, const nb::Tensor& x) __asm__("__real_" LINEAR_CALL);
nb::Tensor linear_clocked(const nb::llm::Linear* self, const nb::Tensor& x) __asm__("__wrap_" LINEAR_CALL);

namespace {

Milliseconds in_layers{};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void measure(const char* path, std::int64_t prompt_length, std::int64_t tokens) {
  const nb::files::Checkpoint checkpoint = nb::files::Checkpoint::open(path);
  const nb::llm::DecoderModel model = nb::llm::load_decoder(checkpoint, {});
  nb::llm::Session session(model, prompt_length + tokens + 1);
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < prompt_length; ++i) {
    prompt.push_back(static_cast<std::int32_t>(7919 * i % model.config().vocab_size));
  }
  nb::llm::GenerateOptions options;
  options.max_tokens = tokens + 1;  // the first one comes with the prompt
  std::vector<double> whole, linear;
  Clock::time_point before;
  session.generate(prompt, options, [&](std::int32_t) {
    const Clock::time_point now = Clock::now();
    if (before != Clock::time_point{}) {
      whole.push_back(Milliseconds(now - before).count());
      linear.push_back(in_layers.count());
    }
    in_layers = {};
    before = Clock::now();
    return true;
  });
  std::printf("{\"ms\": %.4f, \"linear_ms\": %.4f}\n", median(whole), median(linear));
}

}  // namespace

nb::Tensor linear_clocked(const nb::llm::Linear* self, const nb::Tensor& x) {
  const Clock::time_point begin = Clock::now();
  nb::Tensor y = linear_itself(self, x);
  in_layers += Clock::now() - begin;
  return y;
}

int main(int count, char** arguments) try {
  if (count != 4) {
    std::fputs("usage: bench_linear_layers MODEL PROMPT TOKENS\n", stderr);
    return 2;
  }
  measure(arguments[1], std::atoll(arguments[2]), std::atoll(arguments[3]));
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_linear_layers: %s\n", error.what());
  return 1;
}
