// Layers that other packers stored: their values to the bit, and what is refused.
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
using nlohmann::json;
using testing::HasSubstr;

/// One layer of goldens/packed_layers, gptq_act_order or bitsandbytes as a folder of its own.
class PackedFolder : public TemporaryFolder {
 public:
  explicit PackedFolder(const std::string& layer) {
    nb::TensorMap all = nb::load_safetensors(goldens() / "packed_layers.safetensors").tensors;
    all.merge(nb::load_safetensors(goldens() / "gptq_act_order.safetensors").tensors);
    all.merge(nb::load_safetensors(goldens() / "bitsandbytes.safetensors").tensors);
    const std::string prefix = layer + ".";
    for (const auto& [name, tensor] : all) {
      if (!name.starts_with(prefix)) continue;
      const std::string part = name.substr(prefix.size());
      if (part == "values") {
        values = tensor;
      } else {
        parts.emplace("layer." + part, tensor);
      }
    }
    parts.emplace("layer.bias", nb::zeros({32}));
    settings = settings_of_all().at(layer);
  }
  static json settings_of_all() {
    json all = json::parse(read_file(goldens() / "packed_layers.json"));
    all.update(json::parse(read_file(goldens() / "gptq_act_order.json")));
    for (const std::string layer : {"nf4", "nf4_wide", "nf4_nested", "fp4", "fp4_nested"})
      all[layer] = {
          {"quant_method", "bitsandbytes"}, {"load_in_4bit", true}, {"bnb_4bit_quant_type", layer.substr(0, 3)}};
    all["llm_int8"] = {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}};
    return all;
  }

  Checkpoint open() const {
    write_file(*this / "config.json", json{{"model_type", "any"}, {"quantization_config", settings}}.dump());
    nb::save_safetensors(*this / "model.safetensors", parts);
    return Checkpoint::open(path());
  }
  std::string error() const {
    return error_text([&] { open().get("layer.weight"); });
  }

  nb::TensorMap parts;
  nb::Tensor values;
  json settings;
};

TEST(Packers, LayersDecodeToTheReferencesBits) {
  const json layers = PackedFolder::settings_of_all();
  for (const auto& [name, settings] : layers.items()) {
    SCOPED_TRACE(name);
    const PackedFolder folder(name);
    const Checkpoint model = folder.open();
    ASSERT_EQ(model.tensors().size(), 2u);
    const nb::files::TensorInfo& info = *model.find("layer.weight");
    EXPECT_TRUE(info.packed);
    EXPECT_EQ(info.shape, folder.values.shape());
    const nb::Tensor weight = model.get("layer.weight");
    EXPECT_TRUE(weight.is_quantized());
    EXPECT_EQ(nb::packing_of(weight).format.name, info.format);
    EXPECT_EQ(info.reordered, name.starts_with("act"));
    EXPECT_EQ(nb::dequantize(weight, nb::DType::f32).to_vector<float>(), folder.values.to_vector<float>());
  }
}

TEST(Packers, SymmetricLayersKeepTheirScalesDtype) {
  EXPECT_EQ(PackedFolder("gptq4").open().find("layer.weight")->format, "affine4-g128");
  EXPECT_EQ(PackedFolder("gptq4").open().find("layer.weight")->dtype, nb::DType::f16);
  EXPECT_EQ(PackedFolder("gptq4_row").open().find("layer.weight")->dtype, nb::DType::f32);
  EXPECT_EQ(PackedFolder("compressed8").open().find("layer.weight")->dtype, nb::DType::bf16);
}

TEST(Packers, BecomeFoldersOfOurOwnWithoutLoss) {
  for (const char* name : {"gptq3", "gptq4_v2", "awq", "compressed4", "nf4", "nf4_nested", "fp4", "llm_int8"}) {
    SCOPED_TRACE(name);
    const PackedFolder folder(name);
    const TemporaryFolder scratch;
    nb::files::write_model_folder(folder.open(), scratch / "out", {});
    const Checkpoint out = Checkpoint::open(scratch / "out");
    EXPECT_EQ(out.find("layer.weight")->format, folder.open().find("layer.weight")->format);
    EXPECT_EQ(nb::dequantize(out.get("layer.weight"), nb::DType::f32).to_vector<float>(),
              folder.values.to_vector<float>());
  }
}

TEST(Packers, GroupsThatAreNoNeighboursMayHaveAnyNumbers) {
  // The same groups with their numbers turned round: scales and zeros go with them.
  PackedFolder folder("gptq4");
  for (const char* part : {"layer.g_idx", "layer.scales", "layer.qzeros"}) {
    nb::Tensor& tensor = folder.parts.at(part);
    tensor = nb::contiguous(nb::flip(tensor, {0}));
  }
  const nb::Tensor weight = folder.open().get("layer.weight");
  EXPECT_EQ(nb::packing_of(weight).components.back().first, nb::kInputOrder);
  // The first half is of group 1 now, whose scales are those that the first half had.
  EXPECT_EQ(nb::dequantize(weight, nb::DType::f32).to_vector<float>(), folder.values.to_vector<float>());
}

TEST(Packers, InputsInAnOrderOfTheirOwnGoNowhereUnsaid) {
  const PackedFolder folder("act4");
  const Checkpoint model = folder.open();
  const TemporaryFolder scratch;
  const auto write = [&](const char* out, const nb::files::FolderOptions& options) {
    nb::files::write_model_folder(model, scratch / out, options);
  };
  for (const auto kind :
       {nb::files::FolderKind::plain, nb::files::FolderKind::mlx, nb::files::FolderKind::safetensors}) {
    nb::files::FolderOptions options;
    options.kind = kind;
    options.dtype = nb::DType::f32;  // which GPTQ's own parts are not
    EXPECT_THAT(
        error_text([&] { write("refused", options); }),
        HasSubstr("layer.weight: affine4-g128 (32, 256) with inputs in an order of their own cannot be stored"));
    options.dequantize = true;
    options.force = true;
    write("dense", options);
    EXPECT_EQ(Checkpoint::open(scratch / "dense").get("layer.weight").to_vector<float>(),
              folder.values.to_vector<float>());
  }
  nb::files::FolderOptions anew;
  anew.plan = nb::files::make_pack_plan("affine4-g128");
  write("packed", anew);
  const Checkpoint packed = Checkpoint::open(scratch / "packed");
  EXPECT_EQ(packed.find("layer.weight")->format, "affine4-g128");
  EXPECT_FALSE(packed.find("layer.weight")->reordered);
  EXPECT_LT(nb::sum(nb::abs(nb::subtract(nb::dequantize(packed.get("layer.weight"), nb::DType::f32), folder.values)))
                .item<float>(),
            0.1f * nb::sum(nb::abs(folder.values)).item<float>());

  // A file of nibble's own keeps it.
  const nb::Tensor weight = model.get("layer.weight");
  nb::save_safetensors(scratch / "own.safetensors", {{"layer.weight", weight}, {"blocks", nb::flip(weight, {0})}});
  const nb::TensorMap own = nb::load(scratch / "own.safetensors");
  ASSERT_EQ(own.size(), 2u);
  EXPECT_EQ(nb::describe(own.at("layer.weight")), nb::describe(weight));
  const auto values = [](const nb::Tensor& t) { return nb::dequantize(t, nb::DType::f32).to_vector<float>(); };
  EXPECT_EQ(values(own.at("layer.weight")), folder.values.to_vector<float>());
  EXPECT_EQ(values(own.at("blocks")), nb::flip(folder.values, {0}).to_vector<float>());
}

/// Names, dtypes, shapes and bytes of all that a file holds.
std::map<std::string, std::pair<std::string, std::string>> all_of(const std::filesystem::path& file) {
  std::map<std::string, std::pair<std::string, std::string>> all;
  for (const auto& [name, tensor] : nb::load_safetensors(file).tensors)
    all[name] = {nb::describe(tensor), bytes_of(nb::contiguous(tensor))};
  return all;
}

TEST(Packers, ASafetensorsFolderKeepsItsMethodAndEveryByte) {
  const json layers = PackedFolder::settings_of_all();
  for (const auto& [name, settings] : layers.items()) {
    SCOPED_TRACE(name);
    const PackedFolder folder(name);
    const Checkpoint model = folder.open();
    const TemporaryFolder scratch;
    nb::files::write_model_folder(model, scratch / "out", {{}, nb::files::FolderKind::safetensors});
    const auto stored = all_of(folder / "model.safetensors");
    EXPECT_GT(stored.size(), 2u);
    EXPECT_EQ(all_of(scratch / "out" / "model.safetensors"), stored);
    EXPECT_EQ(json::parse(read_file(scratch / "out" / "config.json"))["quantization_config"], settings);
    const nb::Tensor weight = Checkpoint::open(scratch / "out").get("layer.weight");
    EXPECT_EQ(nb::describe(weight), nb::describe(model.get("layer.weight")));
    EXPECT_EQ(nb::dequantize(weight, nb::DType::f32).to_vector<float>(), folder.values.to_vector<float>());
  }
}

TEST(Packers, AMethodIsKeptAcrossShardsAndFromAFileOfItsOwn) {
  const PackedFolder first("act4"), second("gptq4");
  const TemporaryFolder folder, scratch;
  nb::TensorMap shards[2];
  json map;
  for (const auto& [layers, prefix] : {std::pair(&first, "a."), {&second, "b."}}) {
    for (const auto& [name, tensor] : layers->parts) {
      const bool is_late = name == "layer.scales";  // a layer may be cut in two
      shards[is_late].emplace(prefix + name, tensor);
      map[prefix + name] = is_late ? "model-2.safetensors" : "model-1.safetensors";
    }
  }
  shards[1].emplace("c", nb::ones({3}));
  map["c"] = "model-2.safetensors";
  nb::save_safetensors(folder / "model-1.safetensors", shards[0]);
  nb::save_safetensors(folder / "model-2.safetensors", shards[1]);
  write_file(folder / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
  const std::string settings = R"({"bits": 4, "group_size": 128, "sym": true, "desc_act": true})";
  write_file(folder / "quantize_config.json", settings);
  write_file(folder / "config.json", R"({"model_type": "any"})");

  nb::files::write_model_folder(Checkpoint::open(folder.path()), scratch / "out",
                                {{}, nb::files::FolderKind::safetensors});
  EXPECT_EQ(read_file(scratch / "out" / "quantize_config.json"), settings);
  auto stored = all_of(folder / "model-1.safetensors"), written = all_of(scratch / "out" / "model-1.safetensors");
  stored.merge(all_of(folder / "model-2.safetensors"));
  written.merge(all_of(scratch / "out" / "model-2.safetensors"));
  EXPECT_EQ(written, stored);
  EXPECT_TRUE(Checkpoint::open(scratch / "out").find("a.layer.weight")->reordered);
}

TEST(Packers, AConfigurationMayStandInAFileOfItsOwn) {
  const PackedFolder gptq("gptq4"), awq("awq");
  const TemporaryFolder one, other;
  nb::save_safetensors(one / "model.safetensors", gptq.parts);
  write_file(one / "quantize_config.json", R"({"bits": 4, "group_size": 128, "sym": true, "desc_act": false})");
  EXPECT_EQ(Checkpoint::open(one.path()).find("layer.weight")->format, "affine4-g128");
  nb::save_safetensors(other / "model.safetensors", awq.parts);
  write_file(other / "quant_config.json",
             R"({"zero_point": true, "q_group_size": 128, "w_bit": 4, "version": "GEMM"})");
  EXPECT_EQ(Checkpoint::open(other.path()).find("layer.weight")->format, "affine4-g128");
}

TEST(Packers, SettingsThatNobodyHereUnderstandsAreRefusedByName) {
  struct Bad {
    const char *layer, *key;
    json value;
    const char* says;
  };
  for (const Bad& bad : {Bad{"gptq4", "bits", 5, "bits: 5 is not supported"},
                         {"gptq4", "bits", "four", "bits: is not a whole number"},
                         {"gptq4", "group_size", 0, "group_size: 0 is neither -1 nor a size"},
                         {"gptq4", "group_size", 48, "group_size 48 does not divide 256 weights"},
                         {"gptq4", "group_size", 16, "4 bits with groups of 16 are not supported"},
                         {"gptq4", "group_size", 64, ".scales is (2, 32) where (4, 32) belongs"},
                         {"gptq4", "bits", 8, ".scales is (2, 32) where (1, 32) belongs"},
                         {"gptq4", "checkpoint_format", "marlin", "checkpoint_format: marlin is not supported"},
                         {"gptq4", "dynamic", json{{"+:a", 1}}, "dynamic: settings of single modules"},
                         {"gptq4_row", "sym", true, "is said to be symmetric, but a zero point is"},
                         {"awq", "version", "gemv", "version: gemv is not supported"},
                         {"awq", "bits", 8, "bits: 8 is not supported"},
                         {"awq", "zero_point", false, "zero_point: false is not supported"},
                         {"compressed4", "format", "marlin-24", "format: marlin-24 is not supported"},
                         {"compressed4", "config_groups", json::object(), "config_groups: is not one group"}}) {
    PackedFolder folder(bad.layer);
    folder.settings[bad.key] = bad.value;
    EXPECT_THAT(folder.error(), HasSubstr(bad.says));
    EXPECT_THAT(folder.error(), HasSubstr(folder.path().string()));
  }
}

TEST(Packers, BrokenLayersAreRefusedByName) {
  const auto error_with = [](const char* layer, const std::function<void(nb::TensorMap*)>& change) {
    PackedFolder folder(layer);
    change(&folder.parts);
    return folder.error();
  };
  EXPECT_THAT(error_with("gptq4", [](auto* parts) { parts->erase("layer.qzeros"); }),
              HasSubstr("layer.weight: is packed, but its .qzeros is missing"));
  EXPECT_THAT(error_with("gptq4", [](auto* parts) { parts->erase("layer.scales"); }),
              HasSubstr("layer.weight: is packed, but its .scales is missing"));
  EXPECT_THAT(error_with("awq",
                         [](auto* parts) {
                           parts->at("layer.qweight") = nb::zeros({8, 4, 1}, nb::DType::i32);
                         }),
              HasSubstr("layer.weight: .qweight (8, 4, 1) has not 2 axes"));
  EXPECT_THAT(error_with("awq",
                         [](auto* parts) {
                           parts->at("layer.qweight") = nb::zeros({256, 4});
                         }),
              HasSubstr("layer.weight: .qweight is F32, not I32"));
  EXPECT_THAT(error_with("gptq4",
                         [](auto* parts) {
                           parts->at("layer.scales") = nb::zeros({2, 32});
                         }),
              HasSubstr("layer.weight: scales are F32; F16 and BF16 are supported"));
  EXPECT_THAT(error_with("gptq4",
                         [](auto* parts) {
                           parts->emplace("layer.weight", nb::zeros({2, 2}));
                         }),
              HasSubstr("layer.weight: stands beside .qweight"));
  const auto with_groups = [&](const nb::Tensor& groups) {
    return error_with("gptq4", [&](auto* parts) { parts->at("layer.g_idx") = groups; });
  };
  EXPECT_THAT(with_groups(nb::zeros({256}, nb::DType::i32)),
              HasSubstr("layer.weight: group 0 has more than 128 inputs (g_idx)"));
  EXPECT_THAT(with_groups(nb::arange(0, 256)),
              HasSubstr("layer.weight: input 2 is of group 2 (g_idx), and there are 2"));
  EXPECT_THAT(with_groups(nb::full({256}, -1, nb::DType::i32)), HasSubstr("input 0 is of group -1 (g_idx)"));
  EXPECT_THAT(with_groups(nb::zeros({256})), HasSubstr("layer.weight: .g_idx is F32, not I32"));
  EXPECT_THAT(with_groups(nb::zeros({255}, nb::DType::i32)), HasSubstr(".g_idx is (255,) where (256,) belongs"));
  EXPECT_THAT(error_with("compressed4",
                         [](auto* parts) {
                           parts->at("layer.weight_shape") = nb::tensor<std::int64_t>({32, 250}, {2});
                         }),
              HasSubstr("layer.weight: .weight_shape is not (32, 256)"));
  EXPECT_THAT(error_with("compressed4",
                         [](auto* parts) { parts->emplace("layer.weight_g_idx", nb::zeros({256}, nb::DType::i32)); }),
              HasSubstr("layer.weight: has .weight_g_idx"));
  EXPECT_THAT(error_with("fp4", [](auto* parts) { parts->at("layer.weight.quant_map") = nb::zeros({16}); }),
              HasSubstr("layer.weight: .weight.quant_map has other numbers than bnb_fp4"));
  EXPECT_THAT(error_with("fp4", [](auto* parts) { parts->erase("layer.weight.quant_state.bitsandbytes__fp4"); }),
              HasSubstr("layer.weight: is packed, but its .weight.quant_state.bitsandbytes__nf4 is missing"));
  EXPECT_THAT(
      error_with("llm_int8", [](auto* parts) { parts->at("layer.weight_format") = nb::full({}, 1, nb::DType::u8); }),
      HasSubstr("layer.weight: .weight_format is not 0"));
  EXPECT_THAT(error_with("llm_int8",
                         [](auto* parts) {
                           parts->at("layer.weight") = nb::zeros({8, 256}, nb::DType::u8);
                         }),
              HasSubstr("layer.weight: .weight is U8, not I8"));
}

}  // namespace
}  // namespace nibble_test
