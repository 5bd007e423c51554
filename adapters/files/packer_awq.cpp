// AWQ's gemm layout (AutoAWQ): weight = scale · (code − zero), four bits, in groups along the inputs. `qweight` (K,
// N/8): a word has the codes of eight outputs, in the order kAwqOrder from the lowest bits up; `qzeros` (groups, N/8)
// likewise; `scales` (groups, N).

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "adapters/files/zero_points.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::string_view kAwqParts[] = {"qweight", "qzeros", "scales"};
constexpr int kAwqBits = 4, kAwqPerWord = 8;
constexpr std::array<int, kAwqPerWord> kAwqOrder{0, 2, 4, 6, 1, 3, 5, 7};

/// Eight words, each of eight outputs, become eight words, each of eight inputs.
void turn_words(const std::uint32_t* in, std::int64_t in_pitch, std::uint32_t* out, std::int64_t out_pitch) {
  for (int place = 0; place < kAwqPerWord; ++place) {
    std::uint32_t word = 0;
    for (int k = 0; k < kAwqPerWord; ++k) word |= (in[k * in_pitch] >> kAwqBits * place & 15) << kAwqBits * k;
    out[kAwqOrder[static_cast<std::size_t>(place)] * out_pitch] = word;
  }
}

class Awq final : public Packer {
 public:
  explicit Awq(const Reader& config) {
    // AutoAWQ's own file has other names for the same.
    const auto named = [&](const char* name, const char* older) { return config.find(name) ? name : older; };
    if (const auto bits = config.size(named("bits", "w_bit")); bits != kAwqBits)
      config.unsupported(named("bits", "w_bit"), fmt::format("{} is not supported (4 is)", bits));
    group_ = config.integer(named("group_size", "q_group_size")).value_or(128);
    if (group_ != -1 && group_ <= 0) config.bad("group_size", fmt::format("{} is neither -1 nor a size", group_));
    std::string version = config.text("version").value_or("gemm");
    std::ranges::transform(version, version.begin(), [](unsigned char c) { return std::tolower(c); });
    if (version != "gemm") config.unsupported("version", fmt::format("{} is not supported (gemm is)", shown(version)));
    if (!config.boolean("zero_point").value_or(true)) config.unsupported("zero_point", "false is not supported");
  }

  std::span<const std::string_view> parts() const override { return kAwqParts; }

  PackedLayer describe(const LayerParts& parts) const override {
    const SafetensorsEntry& codes = required_part(parts, "qweight", DType::i32, 2);
    const std::int64_t length = codes.shape[0], words = codes.shape[1];
    if (words > kLargestSize || length > kLargestSize || length % kAwqPerWord != 0)
      broken_rule(ErrorCode::invalid_file,
                  fmt::format(".qweight {} is no whole number of words of eight inputs", to_string(codes.shape)));
    const SafetensorsEntry& scales = required_part(parts, "scales");
    const PackedLayer layer = describe_zero_points(settings(), words * kAwqPerWord, length, scales.dtype);
    const std::int64_t groups = group_ == -1 ? 1 : length / group_;
    require_shape("scales", scales, {groups, words * kAwqPerWord});
    require_shape("qzeros", required_part(parts, "qzeros", DType::i32, 2), {groups, words});
    return layer;
  }

  Components read(const LayerParts& parts) const override {
    const PackedLayer layer = describe(parts);
    const Tensor zeros = as_words(parts.load("qzeros"));
    const std::vector<float> scales = as_floats(parts.load("scales"));
    const std::int64_t columns = layer.shape[0], words = columns / kAwqPerWord;
    const auto* zero_words = static_cast<const std::uint32_t*>(zeros.raw_data());
    return zero_point_components(
        settings(), layer, codes_of(as_words(parts.load("qweight"))),
        [&](std::int64_t row, std::int64_t group) { return scales[static_cast<std::size_t>(group * columns + row)]; },
        [&](std::int64_t row, std::int64_t group) {
          const auto place = std::ranges::find(kAwqOrder, static_cast<int>(row % kAwqPerWord)) - kAwqOrder.begin();
          return static_cast<int>(zero_words[group * words + row / kAwqPerWord] >> kAwqBits * place & 15);
        });
  }

 private:
  ZeroPointLayer settings() const { return {.bits = kAwqBits, .group = group_, .zero = {}}; }

  static Tensor codes_of(const Tensor& packed) {
    const std::int64_t length = packed.size(0), words = packed.size(1), out_words = length / kAwqPerWord;
    std::vector<std::uint32_t> out(static_cast<std::size_t>(packed.numel()));
    const auto* in = static_cast<const std::uint32_t*>(packed.raw_data());
    for (std::int64_t k = 0; k < out_words; ++k) {
      for (std::int64_t w = 0; w < words; ++w)
        turn_words(in + k * kAwqPerWord * words + w, words, out.data() + w * kAwqPerWord * out_words + k, out_words);
    }
    return from_data<std::uint32_t>(out, {words * kAwqPerWord, out_words});
  }

  std::int64_t group_ = 128;
};

std::unique_ptr<const Packer> configure_awq(const Reader& config) { return std::make_unique<Awq>(config); }

}  // namespace

extern const PackingMethod awq_method;
const PackingMethod awq_method{"awq", "4 bits in the gemm layout, with zero points", "AutoAWQ", configure_awq};

}  // namespace files
}  // namespace v0
}  // namespace nibble
