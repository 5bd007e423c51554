// gpt-oss's experts: their values to the bit, what becomes of them, and what is refused.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "adapters/files/checkpoint.h"
#include "adapters/files/folder_write.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"
#include "tests/files/file_test_support.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::Checkpoint;
using nb::files::FolderKind;
using testing::HasSubstr;

constexpr const char *kStem = "model.layers.0.mlp.experts.", *kBoth[] = {"gate_up_proj", "down_proj"};

/// goldens/gpt_oss_experts as a model's folder.
struct ExpertsFolder : TemporaryFolder {
  ExpertsFolder() {
    for (const auto& [name, tensor] : nb::load_safetensors(goldens() / "gpt_oss_experts.safetensors").tensors)
      (name.ends_with(".values") ? values : stored).emplace(name, tensor);
  }
  Checkpoint open() const {
    write_file(*this / "config.json", R"({"model_type": "gpt_oss", "quantization_config":
      {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}})");
    nb::save_safetensors(*this / "model.safetensors", stored);
    return Checkpoint::open(path());
  }
  std::string error() const {
    return error_text([&] { open(); });
  }
  void expect_values(const Checkpoint& model) const {
    for (const std::string name : kBoth) {
      const nb::Tensor weight = model.get(kStem + name + ".weight");
      const nb::Tensor& expected = values.at(name + ".values");
      EXPECT_EQ(weight.shape(), expected.shape()) << name;
      EXPECT_EQ(nb::packing_of(weight).format.name, "mxfp4") << name;
      EXPECT_EQ(nb::dequantize(weight, nb::DType::f32).to_vector<float>(), expected.to_vector<float>()) << name;
      EXPECT_EQ(model.get(kStem + name + "_bias").to_vector<float>(),
                stored.at(kStem + name + "_bias").to_vector<float>());
    }
  }

  nb::TensorMap stored, values;
};

TEST(GptOss, ExpertsDecodeToTheReferencesBits) {
  const ExpertsFolder folder;
  const Checkpoint model = folder.open();
  EXPECT_EQ(model.tensors().size(), 4u) << "codes and scales are one tensor";
  EXPECT_EQ(model.architecture(), "gpt_oss");
  folder.expect_values(model);
}

TEST(GptOss, ExpertsBecomeFoldersWithoutLoss) {
  const ExpertsFolder folder;
  for (const FolderKind kind : {FolderKind::mlx, FolderKind::safetensors, FolderKind::plain}) {
    const TemporaryFolder scratch;
    nb::files::write_model_folder(folder.open(), scratch / "out", {{}, kind});
    folder.expect_values(Checkpoint::open(scratch / "out"));
    if (kind != FolderKind::safetensors) continue;
    const nb::TensorMap written = nb::load_safetensors(scratch / "out" / "model.safetensors").tensors;
    EXPECT_EQ(written.size(), folder.stored.size());
    for (const auto& [name, tensor] : folder.stored) {
      ASSERT_TRUE(written.contains(name)) << "gpt-oss's own names and bytes: " << name;
      EXPECT_EQ(nb::describe(written.at(name)), nb::describe(tensor)) << name;
      EXPECT_EQ(bytes_of(written.at(name)), bytes_of(nb::contiguous(tensor))) << name;
    }
  }
}

TEST(GptOss, WhatDoesNotFitIsRefused) {
  const std::string blocks = std::string(kStem) + "down_proj_blocks", scales = std::string(kStem) + "down_proj_scales";
  ExpertsFolder folder;
  folder.stored.insert_or_assign(scales, nb::zeros({2, 64, 2}, nb::DType::u8));
  EXPECT_THAT(folder.error(),
              testing::AllOf(HasSubstr("down_proj.weight"), HasSubstr("scales is (2, 64, 2) where (2, 64, 1)")));
  folder.stored.erase(scales);
  EXPECT_THAT(folder.error(), HasSubstr("scales is missing"));
  folder.stored.insert_or_assign(blocks, nb::zeros({2, 64, 1, 8}, nb::DType::u8));
  EXPECT_THAT(folder.error(), HasSubstr("_blocks U8 (2, 64, 1, 8) are not groups of 16 U8"));
}

}  // namespace
}  // namespace nibble_test
