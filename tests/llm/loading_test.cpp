// Loading a model copies no weight: tied heads share the embedding's storage, files stay mapped.
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

}  // namespace
}  // namespace nibble::tests
