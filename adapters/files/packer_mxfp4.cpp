// gpt-oss's experts, as OpenAI packed them: `NAME_blocks` (experts, out, in/32, 16) bytes of two E2M1 codes, the lower
// one first, and `NAME_scales` (experts, out, in/32), an E8M0 exponent for each 32 weights. Byte for byte that is MLX's
// mxfp4 (OCP Microscaling Formats 1.0), so nothing is copied.

#include <fmt/format.h>

#include <algorithm>

#include "adapters/files/packed_pieces.h"
#include "adapters/files/zero_points.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::string_view kMxfp4Parts[] = {"blocks", "scales"};
constexpr std::int64_t kBlockBytes = 16, kBlockWeights = 32;

class Mxfp4Experts final : public Packer {
 public:
  std::span<const std::string_view> parts() const override { return kMxfp4Parts; }
  char separator() const override { return '_'; }

  PackedLayer describe(const LayerParts& parts) const override {
    const SafetensorsEntry* blocks = parts.find("blocks");
    const int rank = blocks->shape.rank();
    const bool is_whole = rank >= 3 && blocks->dtype == DType::u8 && blocks->shape.back() == kBlockBytes;
    if (!is_whole || blocks->shape.numel() == 0)
      broken_rule(ErrorCode::invalid_file, fmt::format("_blocks {} {} are not groups of 16 U8",
                                                       safetensors_name(blocks->dtype), to_string(blocks->shape)));
    const Shape groups(std::span<const std::int64_t>(blocks->shape).first(static_cast<std::size_t>(rank - 1)));
    require_shape("scales", required_part(parts, "scales", DType::u8, rank - 1), groups);
    Shape shape = groups;
    shape[rank - 2] *= kBlockWeights;
    return {find_format_info("mxfp4"), shape, DType::f32};
  }

  Components read(const LayerParts& parts) const override {
    Shape words = describe(parts).shape;
    words[words.rank() - 1] /= 8;
    return {{"codes", same_bytes(parts.load("blocks"), words, DType::u32)}, {"scales", parts.load("scales")}};
  }
};

std::unique_ptr<const Packer> configure_mxfp4(const Reader&) { return std::make_unique<Mxfp4Experts>(); }

}  // namespace

extern const PackingMethod mxfp4_method;
const PackingMethod mxfp4_method{"mxfp4", "the experts of gpt-oss", "openai/gpt-oss; OCP Microscaling Formats",
                                 configure_mxfp4};

}  // namespace files
}  // namespace v0
}  // namespace nibble
