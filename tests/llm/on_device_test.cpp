// Models on the device that NIBBLE_DEVICE names: the same numbers as on the CPU, nothing computed elsewhere, and no
// more memory than what is stored there. SmolLM2 against the float64 reference of oracle_test.cpp, one chat of it
// unless NIBBLE_SOAK is set.
#include <algorithm>
#include <cstdlib>

#include "adapters/llm/tokenizer/tokenizer.h"
#include "nibble/transfer.h"
#include "nibble/vulkan.h"
#include "tests/llm/support.h"
#include "tests/support/wanted_device.h"

namespace nibble::tests {
namespace {

class OnDevice : public OnWantedDevice {
 protected:
  llm::LoadOptions there() const {
    llm::LoadOptions options;
    options.device = device_;
    return options;
  }
  static Tensor tokens() { return tensor<std::int32_t>({1, 2, 3, 4, 5, 6, 7}, {1, 7}); }
};

/// Every kind of model that there are goldens of; those with experts need a kernel for grouped products.
const char* const kDenseModels[] = {"llama", "llama_bias", "mistral", "qwen2", "qwen3"};

TEST_F(OnDevice, EveryModelGivesWhatItGivesOnTheCpu) {
  for (const char* name : kDenseModels) {
    const Tensor want = load_model(models() / name).logits_of(tokens());
    const llm::DecoderModel model = load_model(models() / name, there());
    reset_stats();
    const Tensor got = model.logits_of(tokens());
    EXPECT_EQ(got.device(), device_);
    EXPECT_EQ(stats().ops_cpu, 0u) << name;
    EXPECT_LT(max_difference(got.to(Device::cpu()), want), 1e-3) << name;
  }
}

TEST_F(OnDevice, LayersMayBeSpread) {
  const fs::path path = models() / "llama";
  const Tensor want = load_model(path).logits_of(tokens());
  llm::LoadOptions options;
  const auto count = static_cast<std::size_t>(files::Checkpoint::open(path).config().num_hidden_layers);
  for (std::size_t layer = 0; layer < count; ++layer) {
    options.layer_devices.push_back(layer % 2 == 0 ? device_ : Device::cpu());
  }
  const llm::DecoderModel model = load_model(path, options);
  reset_stats();
  EXPECT_LT(max_difference(model.logits_of(tokens()).to(Device::cpu()), want), 1e-3);
  EXPECT_GT(operations(device_), 0u);
  EXPECT_GT(operations(Device::cpu()), 0u);
  llm::Session session(model, 16);
  const std::vector<std::int32_t> prompt{1, 2, 3};
  EXPECT_EQ(session.generate(prompt, greedy_for(4)).tokens.size(), 4u);
  options.layer_devices.pop_back();
  EXPECT_THROW(load_model(path, options), Error);
}

class SmolLm2OnDevice : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (IsSkipped()) return;
    if (!fs::exists(path_))
      GTEST_SKIP() << "skipped: no " << path_.filename() << " in build/models (make demo fetches it)";
  }
  /// How many of the tokens come before the first whose two best are nearer than the precision tells apart.
  static std::size_t certain_tokens(const llm::DecoderModel& model, std::vector<std::int32_t> text,
                                    const std::vector<std::int32_t>& made) {
    const auto first = static_cast<std::int64_t>(text.size()) - 1, count = static_cast<std::int64_t>(made.size());
    text.insert(text.end(), made.begin(), made.end());
    const Tensor logits = model.logits_of(from_data(std::span<const std::int32_t>(text), {1, first + 1 + count}));
    const auto best = topk(slice(select(logits, 0, 0), 0, first, first + count), 2).values.to_vector<float>();
    std::size_t certain = 0;
    while (certain < made.size() && best[2 * certain] - best[2 * certain + 1] >= 0.02) ++certain;
    return certain;
  }

  fs::path folder_ = shared_data() / "smollm2";
  fs::path path_ = source_dir() / "build" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
};

TEST_F(SmolLm2OnDevice, ChatsEqualTheReference) {
  if (!fs::exists(folder_)) GTEST_SKIP() << "skipped: no ../shared/data";
  const Json reference = read_json(folder_ / "reference.json");
  const std::string npy = read_file(folder_ / "last_logits.npy");
  constexpr std::size_t kVocabulary = 49152;
  std::vector<float> wanted(4 * kVocabulary);
  std::copy_n(npy.end() - static_cast<std::ptrdiff_t>(wanted.size() * 4), wanted.size() * 4,
              reinterpret_cast<char*>(wanted.data()));
  const auto before = stats().bytes_allocated;
  const llm::DecoderModel model = load_model(path_, there());
  const bool all = std::getenv("NIBBLE_SOAK") != nullptr;
  for (std::size_t chat = 0; chat < (all ? 4 : 1); ++chat) {
    const Json& expected = reference["chat"][chat];
    const auto prompt = expected["prompt_ids"].get<std::vector<std::int32_t>>();
    auto greedy = expected["greedy_ids"].get<std::vector<std::int32_t>>();
    {
      llm::KvCache cache = model.make_cache(1, 128);
      reset_stats();
      const std::vector<std::int32_t> prompts[] = {prompt};
      const std::vector<float> logits = model.prefill(prompts, cache).to_vector<float>();
      const auto begin = wanted.begin() + static_cast<std::ptrdiff_t>(chat * kVocabulary);
      EXPECT_LT(max_difference(logits, std::vector<float>(begin, begin + kVocabulary)), 1e-2) << "chat " << chat;
      EXPECT_EQ(stats().ops_cpu, 0u);
      EXPECT_EQ(stats().bytes_dequantized, 0u);
      // Weights stay packed: the most that lived is they, the cache, and activations of one chunk, of which few live at
      // a time; the embedding's rows are the widest.
      const std::uint64_t caches = 2 * 30 * 3 * 128 * 64 * 4,
                          activations = 8 * prompt.size() * 1536 * 4 + 8 * 4 * kVocabulary;
      EXPECT_LE(static_cast<double>(stats().peak_bytes_allocated - before),
                1.05 * static_cast<double>(model.weight_bytes() + caches + activations));
    }
    if (!all) greedy.resize(6);
    greedy.resize(certain_tokens(model, prompt, greedy));
    llm::Session session(model, 128);
    EXPECT_EQ(session.generate(prompt, greedy_for(static_cast<std::int64_t>(greedy.size()))).tokens, greedy)
        << "chat " << chat;
  }
}

TEST_F(SmolLm2OnDevice, ADecodeStepIsFewCommandBuffers) {
  const llm::DecoderModel model = load_model(path_, there());
  llm::KvCache cache = model.make_cache(1, 16);
  const auto step = [&] {
    const Tensor token = tensor<std::int32_t>({1}, {1, 1}).to(device_);
    return argmax(model.logits(model.hidden(token, cache)), -1).to_vector<std::int32_t>();
  };
  step();
  const std::uint64_t before = submissions(device_);
  step();
  EXPECT_LE(submissions(device_) - before, 4u);
}

// Its first step is recorded; those that follow are submitted as they were.
TEST_F(SmolLm2OnDevice, FurtherTokensAreOneSubmissionAndAReading) {
  const llm::DecoderModel model = load_model(path_, there());
  llm::Session session(model, 32);
  std::vector<std::uint64_t> submitted, computed;
  session.generate(std::vector<std::int32_t>{1, 2, 3}, greedy_for(6), [&](std::int32_t) {
    submitted.push_back(submissions(device_));
    computed.push_back(operations(device_));
    return true;
  });
  ASSERT_EQ(submitted.size(), 6u);
  // Where the host does not see a card's memory, copies there and back are two more.
  const std::vector<DeviceInfo> all = devices();
  const bool is_software = std::ranges::find(all, device_, &DeviceInfo::device)->software;
  for (std::size_t i = 2; i < submitted.size(); ++i) {
    EXPECT_LE(submitted[i] - submitted[i - 1], is_software ? 2u : 4u) << i;
    EXPECT_EQ(computed[i] - computed[i - 1], computed[2] - computed[1]) << i;
  }
}

}  // namespace
}  // namespace nibble::tests
