// Constants of ONNX graphs as onnxruntime computes them, and what is refused.
#include <gmock/gmock.h>

#include <cmath>

#include "adapters/files/checkpoint.h"
#include "adapters/files/folder_write.h"
#include "file_test_support.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::Checkpoint;
using nb::files::FolderKind;
using testing::HasSubstr;

class Onnx : public ::testing::Test {
 protected:
  std::string refusal(const std::string& bytes) const {
    write_file(scratch / "bad.onnx", bytes);
    return error_text([&] { Checkpoint::open(scratch / "bad.onnx"); });
  }

  TemporaryFolder scratch;
  std::string whole = read_file(goldens() / "onnx_weights.onnx"),
              outside = read_file(goldens() / "onnx_weights_outside.onnx");
};

std::vector<float> decoded(const nb::Tensor& tensor) {
  return nb::contiguous(tensor.is_quantized() ? nb::dequantize(tensor, nb::DType::f32) : tensor).to_vector<float>();
}

struct OnnxFormat {
  const char *name, *format;
};
constexpr OnnxFormat kOnnxFormats[] = {{"nbits4", "affine4-g32"},
                                       {"nbits4_zeros", "affine4-g128"},
                                       {"nbits4_row", "affine4-g128"},
                                       {"nbits8", "affine8-g64"},
                                       {"nbits8_zeros", "affine8-g32"},
                                       {"nbits2_zeros", "affine2-g64"},
                                       {"int8", "int8"},
                                       {"int8_rows", "int8"},
                                       {"int8_zeros", "affine8-g128"},
                                       {"uint8_columns", "affine8-g128"},
                                       {"int8_columns", "int8"},
                                       {"int4_blocks", "affine4-g32"},
                                       {"uint4_blocks", "affine4-g32"},
                                       {"uint4_rows", "affine4-g64"}};

TEST_F(Onnx, WhatIsUnpackedThereIsPackedHere) {
  const auto values = nb::load_safetensors(goldens() / "onnx_weights.safetensors").tensors;
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_weights.onnx");
  for (const OnnxFormat& expected : kOnnxFormats) {
    SCOPED_TRACE(expected.name);
    const auto* info = model.find(expected.name);
    ASSERT_NE(info, nullptr);
    EXPECT_EQ(info->format, expected.format);
    const nb::Tensor weight = model.get(expected.name);
    EXPECT_TRUE(weight.is_quantized());
    EXPECT_EQ(weight.shape(), info->shape);
    EXPECT_EQ(weight.shape(), values.at(expected.name).shape());
    EXPECT_EQ(decoded(weight), values.at(expected.name).to_vector<float>());
    EXPECT_FALSE(model.contains(std::string(expected.name) + ".scales")) << "it is a part of the packed tensor";
  }
}

TEST_F(Onnx, ScalesOfHalfAFloatStaySo) {
  const auto values = nb::load_safetensors(goldens() / "onnx_weights.safetensors").tensors.at("int4_half");
  const nb::Tensor weight = Checkpoint::open(goldens() / "onnx_weights.onnx").get("int4_half");
  EXPECT_EQ(nb::packing_of(weight).format.name, "affine4-g32");
  EXPECT_EQ(weight.dtype(), nb::DType::f16);
  EXPECT_EQ(decoded(nb::cast(nb::dequantize(weight, nb::DType::f16), nb::DType::f32)),
            decoded(nb::cast(values, nb::DType::f32)));
}

// Where scales have all the bits that a float has, a product and a sum round.
TEST_F(Onnx, ScalesOfManyBitsAreARoundingApart) {
  const auto expected =
      nb::load_safetensors(goldens() / "onnx_weights.safetensors").tensors.at("nbits4_wide").to_vector<float>();
  const auto got = decoded(Checkpoint::open(goldens() / "onnx_weights.onnx").get("nbits4_wide"));
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 15 * 0.02 / (1 << 23)) << i;
}

TEST_F(Onnx, OtherConstantsAreDense) {
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_weights.onnx");
  const auto dense = nb::load_safetensors(goldens() / "onnx_weights.safetensors").tensors.at("dense");
  EXPECT_EQ(decoded(model.get("dense")), decoded(dense));
  EXPECT_EQ(model.get("half").dtype(), nb::DType::f16);
  EXPECT_EQ(decoded(nb::cast(model.get("half"), nb::DType::f32)),
            decoded(nb::cast(nb::cast(dense, nb::DType::f16), nb::DType::f32)));
  EXPECT_EQ(model.find("brain")->format, "bf16");
  EXPECT_EQ(model.get("one").to_vector<std::int64_t>(), std::vector<std::int64_t>{7});
  EXPECT_EQ(decoded(model.get("inner")), decoded(nb::select(dense, 0, 0))) << "of a node Constant";
}

TEST_F(Onnx, WhatNoPackedFormatHasIsDecoded) {
  const auto values = nb::load_safetensors(goldens() / "onnx_weights.safetensors").tensors;
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_weights.onnx");
  for (const char* name : {"conv", "bias", "uint16_short", "int4_short"}) {
    EXPECT_EQ(model.find(name)->format, "f32") << name;
    EXPECT_EQ(model.get(name).shape(), values.at(name).shape()) << name;
    EXPECT_EQ(decoded(model.get(name)), values.at(name).to_vector<float>()) << name;
  }
}

// Both branches of an If have a matrix w, and one unpacks what the graph around it has.
TEST_F(Onnx, GraphsInsideAreReadToo) {
  const auto values = nb::load_safetensors(goldens() / "onnx_graphs.safetensors").tensors;
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_graphs.onnx");
  const OnnxFormat expected[] = {{"shared", "affine4-g32"},
                                 {"y/then_branch/w", "affine4-g32"},
                                 {"y/else_branch/w", "affine8-g64"},
                                 {"y/else_branch/chosen/then_branch/flat", "f32"},
                                 {"y/else_branch/chosen/else_branch/d", "affine8-g128"}};
  EXPECT_EQ(model.tensors().size(), std::size(expected));
  for (const OnnxFormat& tensor : expected) {
    SCOPED_TRACE(tensor.name);
    const auto* info = model.find(tensor.name);
    ASSERT_NE(info, nullptr);
    EXPECT_EQ(info->format, tensor.format);
    EXPECT_EQ(decoded(model.get(tensor.name)), values.at(tensor.name).to_vector<float>());
  }
}

/// A field of protobuf's that has bytes.
std::string field(int number, const std::string& bytes) {
  std::string size;
  std::size_t left = bytes.size();
  for (; left > 127; left >>= 7) size += static_cast<char>(left | 128);
  return static_cast<char>(number << 3 | 2) + (size + static_cast<char>(left)) + bytes;
}

TEST_F(Onnx, GraphsInsideOneAnotherForEverAreRefused) {
  const auto inside = [](const std::string& graph, const std::string& output) {
    return field(1, field(2, output) + field(5, field(1, "body") + field(6, graph)));
  };
  std::string graph;
  for (int depth = 0; depth < 16; ++depth) graph = inside(graph, "y");
  write_file(scratch / "deep.onnx", field(7, graph));
  EXPECT_TRUE(Checkpoint::open(scratch / "deep.onnx").tensors().empty());
  EXPECT_THAT(refusal(field(7, inside(graph, "y"))), HasSubstr("inside one another more than 16 times"));
  for (int depth = 0; depth < 2000; ++depth) graph = inside(graph, "y");
  EXPECT_THAT(refusal(field(7, graph)), HasSubstr("inside one another"));
  // Names that are many times what the file has.
  std::string constants;
  for (char name = 'a'; name <= 'z'; ++name)
    constants += field(5, std::string("\x08\x00\x10\x01", 4) + field(8, std::string(1, name)));
  EXPECT_THAT(refusal(field(7, inside(constants, std::string(100'000, 'y')))), HasSubstr("than its size allows"));
}

TEST_F(Onnx, ElementsMayLieInAFileBeside) {
  const Checkpoint inside = Checkpoint::open(goldens() / "onnx_weights.onnx");
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_weights_outside.onnx");
  EXPECT_EQ(model.weight_files().size(), 2u);
  EXPECT_EQ(decoded(model.get("dense")), decoded(inside.get("dense")));
  EXPECT_EQ(decoded(model.get("nbits4")), decoded(inside.get("nbits4")));
}

TEST_F(Onnx, WhatNoFormatHoldsIsRefusedByName) {
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_weights.onnx");
  EXPECT_THAT(
      error_text([&] { model.get("nbits4_small"); }),
      testing::AllOf(HasSubstr("onnx_weights.onnx: nbits4_small"), HasSubstr("groups of 16 are not supported")));
  EXPECT_TRUE(model.find("nbits4_small")->packed);
  EXPECT_THAT(error_text([&] { model.config(); }), HasSubstr("not run"));
}

TEST_F(Onnx, BecomesAFolder) {
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_weights_outside.onnx");
  nb::files::write_model_folder(model, scratch / "packed", {{}, FolderKind::safetensors});
  const Checkpoint packed = Checkpoint::open(scratch / "packed");
  EXPECT_EQ(packed.find("nbits4")->format, "affine4-g32");
  EXPECT_EQ(decoded(packed.get("nbits4")), decoded(model.get("nbits4")));
}

// A folder's matrices are packed along their rows alone.
TEST_F(Onnx, MatricesThatArePackedAlongTheirColumnsBecomeDense) {
  const Checkpoint model = Checkpoint::open(goldens() / "onnx_graphs.onnx");
  const std::string columns = "y/else_branch/chosen/else_branch/d", rows = "y/then_branch/w";
  EXPECT_TRUE(model.find(columns)->transposed);
  EXPECT_FALSE(model.find(rows)->transposed);
  EXPECT_THAT(
      error_text([&] {
        nb::files::write_model_folder(model, scratch / "said", {{}, FolderKind::safetensors});
      }),
      HasSubstr(columns + ": affine8-g128 (256, 4) packed along its columns cannot be stored in a safetensors folder"));
  nb::files::write_model_folder(model, scratch / "plain", {});
  const Checkpoint plain = Checkpoint::open(scratch / "plain");
  EXPECT_EQ(plain.find(columns)->format, "f32");
  EXPECT_EQ(decoded(plain.get(columns)), decoded(model.get(columns)));
  EXPECT_EQ(plain.find(rows)->format, "affine4-g32");
  EXPECT_EQ(decoded(plain.get(rows)), decoded(model.get(rows)));
}

TEST_F(Onnx, ATruncationAtAnyLengthIsRefused) {
  const std::size_t step = std::max<std::size_t>(1, whole.size() / 200);
  for (std::size_t length = 0; length + 1 < whole.size(); length += step) {
    write_file(scratch / "cut.onnx", whole.substr(0, length));
    try {
      const Checkpoint cut = Checkpoint::open(scratch / "cut.onnx");
      ADD_FAILURE() << length;
    } catch (const nb::Error& error) {
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    }
  }
}

TEST_F(Onnx, AFileElsewhereIsNeverOpened) {
  const std::string location = "onnx_weights.onnx.data";
  for (const std::string bad : {"../nnx_weights.onnx.dat", "/nnx_weights.onnx.data", "a/../../weights.onnx.d"}) {
    std::string bytes = outside;
    for (auto at = bytes.find(location); at != bytes.npos; at = bytes.find(location))
      bytes.replace(at, location.size(), bad.substr(0, location.size()));
    EXPECT_THAT(refusal(bytes), HasSubstr("is not the name of a file in the folder")) << bad;
  }
  EXPECT_THAT(refusal(outside), HasSubstr("onnx_weights.onnx.data is not there"));
  write_file(scratch / location, "short");
  EXPECT_THAT(refusal(outside), HasSubstr("are out of range"));
}

TEST_F(Onnx, DamageIsOneError) {
  EXPECT_THAT(refusal(""), HasSubstr("has no graph"));
  EXPECT_THAT(refusal("PK\3\4 this is no model"), HasSubstr("bad.onnx: "));
  // A graph of empty tensors: each takes the reader far more than its two bytes.
  std::string tensors;
  for (int i = 0; i < 30000; ++i) tensors += std::string("*\x07\x08\0\x10\x01\x42\x01", 8) + "a";
  std::string graph = ":";
  for (std::size_t size = tensors.size(); size > 0; size >>= 7)
    graph += static_cast<char>((size & 127) | (size > 127 ? 128 : 0));
  EXPECT_THAT(refusal(graph + tensors), HasSubstr("more tensors and nodes than its size allows"));
}

}  // namespace
}  // namespace nibble_test
