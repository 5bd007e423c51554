// Loading a model copies no weight: tied heads share the embedding's storage, files stay mapped. A folder of GPTQ's
// runs as what its weights decode to.
#include <nlohmann/json.hpp>
#include <random>

#include "adapters/files/folder_write.h"
#include "tests/llm/support.h"

namespace nibble::tests {
namespace {

TEST(Loading, CopiesNoWeightAndTiesTheHead) {
  // (Not a folder of mlx's: what its files leave unaligned must be copied.)
  for (const fs::path& path : {models() / "llama", goldens() / "tiny_llama.gguf"}) {
    SCOPED_TRACE(path.string());
    const files::Checkpoint checkpoint = files::Checkpoint::open(path);
    const std::uint64_t before = stats().bytes_allocated;
    const llm::DecoderModel model = llm::load_decoder(checkpoint);
    std::uint64_t vectors = 0, smallest_matrix = ~std::uint64_t{0};
    for (const files::TensorInfo& info : checkpoint.tensors()) {
      if (info.shape.rank() == 1) {
        vectors += 4 * static_cast<std::uint64_t>(info.shape.numel()) + 64;
      } else {
        smallest_matrix = std::min(smallest_matrix, info.bytes);
      }
    }
    // Norms and biases in f32, and the rope's few frequencies; no room for the smallest matrix.
    EXPECT_LT(stats().bytes_allocated - before, vectors + smallest_matrix);
  }
}

/// Random weights as GPTQ stores them, in groups of 32 inputs that are no neighbours.
void add_gptq(const std::string& layer, const Shape& shape, std::mt19937& random, TensorMap* tensors) {
  const std::int64_t outputs = shape[0], inputs = shape[1], groups = inputs / 32;
  const auto words = [&](const Shape& size, auto&& next) {
    std::vector<std::int32_t> all(static_cast<std::size_t>(size.numel()));
    std::ranges::generate(all, next);
    return from_data<std::int32_t>(all, size);
  };
  std::int32_t input = 0;
  std::vector<std::int32_t> group_of = words({inputs}, [&] { return input++ / 32; }).to_vector<std::int32_t>();
  std::ranges::shuffle(group_of, random);
  (*tensors)[layer + ".g_idx"] = from_data<std::int32_t>(group_of, {inputs});
  (*tensors)[layer + ".qweight"] = words({inputs / 8, outputs}, [&] { return static_cast<std::int32_t>(random()); });
  (*tensors)[layer + ".qzeros"] = words({groups, outputs / 8}, [] { return 0x77777777; });
  (*tensors)[layer + ".scales"] = cast(random_uniform({groups, outputs}, random(), 0.005, 0.04), DType::f16);
}

TEST(Loading, GptqUnderDescActRunsAsWhatItsWeightsDecodeTo) {
  const TemporaryFolder scratch;
  const files::Checkpoint like = files::Checkpoint::open(models() / "llama");
  std::mt19937 random(3);
  TensorMap tensors;
  for (const files::TensorInfo& info : like.tensors()) {
    constexpr std::string_view kEnd = ".weight";
    if (info.name.ends_with("_proj.weight")) {
      add_gptq(info.name.substr(0, info.name.size() - kEnd.size()), info.shape, random, &tensors);
    } else {
      tensors[info.name] = like.get(info.name);
    }
  }
  save_safetensors(scratch / "model.safetensors", tensors);
  nlohmann::json config = nlohmann::json::parse(read_file(models() / "llama" / "config.json"));
  config["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}, {"desc_act", true}};
  write_file(scratch / "config.json", config.dump());

  const files::Checkpoint packed = files::Checkpoint::open(scratch.path());
  EXPECT_TRUE(packed.find("model.layers.0.mlp.down_proj.weight")->reordered);
  files::FolderOptions decoded;
  decoded.dequantize = true;
  decoded.dtype = DType::f32;
  const TemporaryFolder other;
  files::write_model_folder(packed, other / "out", decoded);
  const Tensor tokens = tensor<std::int32_t>({1, 20, 5, 77, 300, 12, 9, 4}, {2, 4});
  const with scope(exact());
  const std::uint64_t before = stats().bytes_dequantized;
  const Tensor got = load_model(scratch.path()).logits_of(tokens);
  EXPECT_EQ(stats().bytes_dequantized, before);
  const Tensor expected = load_model(other / "out").logits_of(tokens);
  EXPECT_GT(max(abs(expected)).item<float>(), 0.1f);
  EXPECT_LT(max_difference(got, expected), 1e-4);
}

}  // namespace
}  // namespace nibble::tests
