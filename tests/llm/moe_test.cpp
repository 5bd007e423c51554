// Mixtures of experts: every way in which files hold experts is the same model.
#include "adapters/llm/moe.h"

#include "adapters/files/folder_write.h"
#include "nibble/quantization.h"
#include "tests/llm/support.h"

namespace nibble::tests {
namespace {

constexpr const char* kModels[] = {"qwen2_moe", "qwen3_moe"};

std::string expert(const std::string& layer, std::int64_t e, const std::string& projection) {
  return layer + ".mlp.experts." + std::to_string(e) + "." + projection;
}

/// A model's tensors under other names, beside its configuration.
void write_model(const TensorMap& tensors, Json config, const fs::path& to) {
  fs::create_directories(to);
  save_safetensors(to / "model.safetensors", tensors);
  std::ofstream(to / "config.json") << config;
}

/// The test's model with its experts stacked, by name.
TensorMap stacked_tensors(const std::string& model) {
  TensorMap tensors;
  const files::Checkpoint checkpoint = files::Checkpoint::open(models() / model);
  for (const files::TensorInfo& info : checkpoint.tensors()) tensors.emplace(info.name, checkpoint.get(info.name));
  return tensors;
}

bool is_stack(const std::string& name) { return name.find(".switch_mlp.") != std::string::npos; }
std::string layer_of(const std::string& stack) { return stack.substr(0, stack.find(".mlp.")); }

double difference_from_reference(const fs::path& folder, const std::string& model) {
  const TensorMap expected = load_safetensors(models() / model / "reference.safetensors").tensors;
  return max_difference(load_model(folder).logits_of(ids(expected.at("tokens"))), expected.at("logits"));
}

TEST(Experts, StackedOnesAreReadAsTheyAre) {
  const with precise(exact());
  for (const std::string model : kModels) {
    const TemporaryFolder scratch;
    write_model(stacked_tensors(model), read_json(models() / model / "config.json"), scratch.path());
    EXPECT_LT(difference_from_reference(scratch.path(), model), 1e-4) << model;
  }
}

// As transformers 5 holds them in memory.
TEST(Experts, GateAndUpInOneTensor) {
  const with precise(exact());
  for (const std::string model : kModels) {
    TensorMap tensors = stacked_tensors(model), fused;
    for (const auto& [name, tensor] : tensors) {
      const std::string layer = layer_of(name);
      const auto stack = [&](const char* part) {
        return tensors.at(layer + ".mlp.switch_mlp." + part + "_proj.weight");
      };
      if (!is_stack(name)) {
        fused.emplace(name, tensor);
      } else if (name.ends_with(".down_proj.weight")) {
        fused.emplace(layer + ".mlp.experts.down_proj", tensor);
      } else if (name.ends_with(".gate_proj.weight")) {
        const Tensor halves[] = {stack("gate"), stack("up")};
        fused.emplace(layer + ".mlp.experts.gate_up_proj", concatenate(halves, 1));
      }
    }
    const TemporaryFolder scratch;
    write_model(fused, read_json(models() / model / "config.json"), scratch.path());
    EXPECT_LT(difference_from_reference(scratch.path(), model), 1e-4) << model;
  }
}

// Triplets of each expert become one packed stack, whose components are theirs: nothing is decoded or packed anew.
TEST(Experts, PackedOneByOneEqualsPackedStacked) {
  const with precise(exact());
  for (const std::string model : kModels) {
    TensorMap stacked = stacked_tensors(model), one_by_one;
    for (auto& [name, tensor] : stacked) {
      if (!is_stack(name)) {
        one_by_one.emplace(name, tensor);
        continue;
      }
      tensor = quantize(tensor, {.bits = 4, .group_size = 32});
      const std::string projection = name.substr(name.find(".switch_mlp.") + 12);
      for (std::int64_t e = 0; e < tensor.size(0); ++e)
        one_by_one.emplace(expert(layer_of(name), e, projection), select(tensor, 0, e));
    }
    Json config = read_json(models() / model / "config.json");
    config["quantization"] = {{"bits", 4}, {"group_size", 32}};
    const TemporaryFolder scratch;
    write_model(stacked, config, scratch.path() / "stacked");
    write_model(one_by_one, config, scratch.path() / "one_by_one");
    const files::Checkpoint checkpoint = files::Checkpoint::open(scratch.path() / "one_by_one");
    const Tensor stack = checkpoint.get("model.layers.1.mlp.switch_mlp.down_proj.weight");
    EXPECT_TRUE(is_quantized(stack));
    const Tensor tokens = tensor<std::int32_t>({5, 17, 99, 3}, {1, 4});
    const Tensor a = load_model(scratch.path() / "stacked").logits_of(tokens);
    const Tensor b = load_model(scratch.path() / "one_by_one").logits_of(tokens);
    EXPECT_EQ(max_difference(a, b), 0) << model;
    EXPECT_GT(max_difference(a, load_model(models() / model).logits_of(tokens)), 1e-3) << "nothing was packed";
  }
}

TEST(Experts, PackedWhileLoadingOrBeforeIsTheSame) {
  for (const std::string model : kModels) {
    files::Checkpoint checkpoint = files::Checkpoint::open(models() / model);
    const TemporaryFolder scratch;
    write_model_folder(checkpoint, scratch.path() / "packed",
                       {{.plan = files::make_pack_plan("affine4-g32"), .requantize = {}, .dtype = {}, .progress = {}}});
    checkpoint.pack_while_loading("affine4-g32");
    const llm::DecoderModel at_once = llm::load_decoder(checkpoint), before = load_model(scratch.path() / "packed");
    EXPECT_LT(at_once.weight_bytes(), load_model(models() / model).weight_bytes() / 2);

    Options strict = options();
    strict.fallback = Fallback::error;
    const with no_fallback(strict);
    const Tensor tokens = tensor<std::int32_t>({5, 17, 99, 3}, {1, 4});
    EXPECT_EQ(max_difference(at_once.logits_of(tokens), before.logits_of(tokens)), 0) << model;

    // For mlx-lm: stacked, the router dense, its own word for their number.
    const files::Checkpoint written = files::Checkpoint::open(scratch.path() / "packed");
    EXPECT_EQ(written.find("model.layers.1.mlp.gate.weight")->format, "bf16");
    const TensorMap stored =
        load_safetensors(scratch.path() / "packed" / written.weight_files().back().filename()).tensors;
    EXPECT_TRUE(stored.contains("model.layers.1.mlp.switch_mlp.down_proj.scales"));
    EXPECT_TRUE(read_json(scratch.path() / "packed" / "config.json").contains("num_experts"));
  }
}

// A folder of dense weights is for transformers, which wants experts one by one.
TEST(Experts, WrittenDenseTheyStandOneByOne) {
  for (const std::string model : kModels) {
    const TemporaryFolder scratch;
    write_model_folder(files::Checkpoint::open(models() / model), scratch.path() / "dense",
                       {{.plan = {}, .requantize = {}, .dtype = {}, .progress = {}}});
    std::map<std::string, Tensor> before, after;
    for (const auto& [folder, tensors] : {std::pair{models() / model, &before}, {scratch.path() / "dense", &after}}) {
      const files::Checkpoint checkpoint = files::Checkpoint::open(folder);
      for (const fs::path& file : checkpoint.weight_files()) tensors->merge(load_safetensors(file).tensors);
    }
    ASSERT_EQ(before.size(), after.size());
    for (const auto& [name, tensor] : before) {
      ASSERT_TRUE(after.contains(name)) << name;
      EXPECT_EQ(max_difference(tensor, after.at(name)), 0) << name;
    }
  }
}

std::string failure(const TensorMap& tensors, const Json& config) {
  const TemporaryFolder scratch;
  write_model(tensors, config, scratch.path());
  try {
    load_model(scratch.path());
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_file) << e.what();
    return e.what();
  }
  return "nothing was thrown";
}

TEST(Experts, WhatIsMissingOrDoesNotFitIsNamed) {
  const TensorMap whole = load_safetensors(models() / "qwen3_moe" / "model.safetensors").tensors;
  const Json config = read_json(models() / "qwen3_moe" / "config.json");
  const auto expect = [&](const char* says, const std::function<void(TensorMap&)>& spoil) {
    TensorMap tensors = whole;
    spoil(tensors);
    const std::string text = failure(tensors, config);
    EXPECT_NE(text.find(says), std::string::npos) << text;
  };
  expect("model.layers.1.mlp.experts.2.up_proj.weight: is missing",
         [](TensorMap& t) { t.erase("model.layers.1.mlp.experts.2.up_proj.weight"); });
  expect("(4, 32, 64) where the configuration says (5, 32, 64)",
         [](TensorMap& t) { t.erase("model.layers.1.mlp.experts.4.up_proj.weight"); });
  expect("unlike expert 0", [](TensorMap& t) {
    t["model.layers.1.mlp.experts.3.up_proj.weight"] = zeros({32, 32}, DType::bf16);
  });
  expect("model.layers.1.mlp.switch_mlp.up_proj.weight", [](TensorMap& t) {
    t["model.layers.1.mlp.switch_mlp.up_proj.weight"] = zeros({5, 32, 64}, DType::bf16);
  });
  expect("has no two halves", [](TensorMap& t) {
    t["model.layers.1.mlp.experts.gate_up_proj"] = zeros({5, 63, 64}, DType::bf16);
  });
  expect("model.layers.1.mlp.gate.weight: is missing", [](TensorMap& t) { t.erase("model.layers.1.mlp.gate.weight"); });
}

TEST(Experts, AnAdapterOfOneExpertIsRefusedByName) {
  llm::LoadOptions options;
  const std::string path = expert("model.layers.1", 3, "up_proj");
  options.adapters.push_back({LoraAdapter{{path, LoraWeights{zeros({64, 2}), zeros({2, 32}), 1}}}, 1});
  try {
    load_model(models() / "qwen3_moe", options);
    FAIL() << "an update was left out without a word";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
  }
}

TEST(Experts, AdaptersJoinRouterAndSharedExpert) {
  const Tensor tokens = tensor<std::int32_t>({5, 17, 99, 3}, {1, 4});
  const Tensor plain = load_model(models() / "qwen2_moe").logits_of(tokens);
  for (const char* module : {"gate", "shared_expert_gate", "shared_expert.up_proj"}) {
    const std::int64_t out = std::string(module) == "gate" ? 6 : std::string(module) == "shared_expert_gate" ? 1 : 64;
    llm::LoadOptions options;
    options.adapters.push_back({LoraAdapter{{std::string("model.layers.0.mlp.") + module,
                                             LoraWeights{random_normal({64, 2}, 1), random_normal({2, out}, 2), 1}}},
                                1});
    EXPECT_GT(max_difference(load_model(models() / "qwen2_moe", options).logits_of(tokens), plain), 1e-3) << module;
  }
}

/// One token through a mixture of experts in fp64: silu networks, no shared expert.
std::vector<double> mixture(std::span<const float> x, const std::vector<float>& router, const std::vector<float>& gate,
                            const std::vector<float>& up, const std::vector<float>& down, std::size_t experts,
                            std::size_t inner, std::size_t used, bool normalize) {
  const std::size_t hidden = x.size();
  std::vector<double> probability(experts, 0);
  double total = 0;
  for (std::size_t e = 0; e < experts; ++e) {
    for (std::size_t h = 0; h < hidden; ++h) probability[e] += static_cast<double>(x[h]) * router[e * hidden + h];
    probability[e] = std::exp(probability[e]);
    total += probability[e];
  }
  std::vector<std::size_t> order(experts);
  for (std::size_t e = 0; e < experts; ++e) order[e] = e;
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return probability[a] > probability[b]; });
  double of_used = 0;
  for (std::size_t i = 0; i < used; ++i) of_used += probability[order[i]];
  std::vector<double> y(hidden, 0);
  for (std::size_t i = 0; i < used; ++i) {
    const std::size_t e = order[i];
    const double weight = probability[e] / (normalize ? of_used : total);
    for (std::size_t j = 0; j < inner; ++j) {
      double g = 0, u = 0;
      for (std::size_t h = 0; h < hidden; ++h) {
        g += static_cast<double>(x[h]) * gate[(e * inner + j) * hidden + h];
        u += static_cast<double>(x[h]) * up[(e * inner + j) * hidden + h];
      }
      const double value = weight * u * g / (1 + std::exp(-g));
      for (std::size_t h = 0; h < hidden; ++h) y[h] += value * down[(e * hidden + h) * inner + j];
    }
  }
  return y;
}

// Counts that are no powers of two, one expert of one, all of them; probabilities as they are and made to sum to 1.
TEST(Experts, EqualTheFormulaForAnyCount) {
  const with precise(exact());
  constexpr std::int64_t kHidden = 24, kInner = 20, kTokens = 7;
  for (const auto& [experts, used] : {std::pair{1, 1}, {3, 2}, {7, 3}, {12, 5}, {12, 12}, {60, 4}}) {
    for (const bool normalize : {false, true}) {
      const Tensor router = random_normal({experts, kHidden}, 1, 0, 0.3);
      const Tensor gate = random_normal({experts, kInner, kHidden}, 2, 0, 0.3);
      const Tensor up = random_normal({experts, kInner, kHidden}, 3, 0, 0.3);
      const Tensor down = random_normal({experts, kHidden, kInner}, 4, 0, 0.3);
      const llm::MixtureOfExperts moe{.router = llm::Linear(router),
                                      .gate = swapaxes(gate, 1, 2),
                                      .up = swapaxes(up, 1, 2),
                                      .down = swapaxes(down, 1, 2),
                                      .activation = silu,
                                      .used = used,
                                      .normalize = normalize,
                                      .shared = {}};
      const Tensor x = random_normal({kTokens, kHidden}, 5);
      const Tensor y = moe(x);
      ASSERT_EQ(y.shape(), x.shape());
      const auto xs = x.to_vector<float>(), ys = y.to_vector<float>();
      for (std::size_t t = 0; t < kTokens; ++t) {
        const auto wanted =
            mixture(std::span(xs).subspan(t * kHidden, kHidden), router.to_vector<float>(), gate.to_vector<float>(),
                    up.to_vector<float>(), down.to_vector<float>(), static_cast<std::size_t>(experts), kInner,
                    static_cast<std::size_t>(used), normalize);
        for (std::size_t h = 0; h < kHidden; ++h) {
          EXPECT_NEAR(ys[t * kHidden + h], wanted[h], 1e-4) << experts << " experts, " << used << " used";
        }
      }
    }
  }
}

}  // namespace
}  // namespace nibble::tests
