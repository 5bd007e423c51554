#include "adapters/files/gguf.h"

#include <gmock/gmock.h>

#include "adapters/files/checkpoint.h"
#include "adapters/files/gguf_names.h"
#include "adapters/files/gguf_source.h"
#include "file_test_support.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using nb::files::GgufFile;
using ::testing::HasSubstr;

/// Little-endian bytes, as GGUF has them.
struct Bytes : std::string {
  template <class T>
  Bytes& put(T value) {
    append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& text(std::string_view t) {
    put<std::uint64_t>(t.size());
    append(t);
    return *this;
  }
};

struct TestTensor {
  std::string name = "w";
  std::vector<std::uint64_t> dims{4};
  std::uint32_t type = 0;  // F32
  std::uint64_t offset = 0;
};

Bytes header(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
  Bytes out;
  out += "GGUF";
  out.put(version).put(tensors).put(pairs);
  return out;
}

Bytes file_of(const std::vector<TestTensor>& tensors, std::size_t data = 64, const Bytes& pairs = {},
              std::uint64_t pair_count = 0) {
  Bytes out = header(tensors.size(), pair_count);
  out += pairs;
  for (const TestTensor& t : tensors) {
    out.text(t.name).put<std::uint32_t>(static_cast<std::uint32_t>(t.dims.size()));
    for (const auto d : t.dims) out.put(d);
    out.put(t.type).put(t.offset);
  }
  out.append((32 - out.size() % 32) % 32, '\0');
  out.append(data, '\1');
  return out;
}

Bytes pair(std::string_view key, std::uint32_t type) {
  Bytes out;
  out.text(key).put(type);
  return out;
}
constexpr std::uint32_t kU32 = 4, kBool = 7, kText = 8, kArray = 9;

struct Bad {
  const char* what;
  std::string file;
  std::vector<std::string> says;
};

std::vector<Bad> bad_files() {
  const auto with_pair = [](Bytes p) { return file_of({}, 0, p, 1); };
  Bytes twice;
  twice += pair("k", kU32).put<std::uint32_t>(1);
  twice += pair("k", kU32).put<std::uint32_t>(2);
  return {
      {"empty", "", {"not a GGUF"}},
      {"other magic", "GGML....................", {"not a GGUF"}},
      {"big-endian", std::string("GGUF\0\0\0\3", 8) + std::string(32, '\0'), {"big-endian"}},
      {"version 1", header(0, 0, 1), {"version 1 is not supported"}},
      {"version 9", header(0, 0, 9), {"version 9 is not supported"}},
      {"pairs", header(0, 1ull << 60), {"metadata pairs do not fit"}},
      {"tensors", header(1ull << 60, 0), {"tensors do not fit"}},
      {"key length", header(0, 1).put<std::uint64_t>(1ull << 62) + std::string(16, '\0'), {"truncated"}},
      {"value type", with_pair(pair("k", 77)), {"k", "value type 77"}},
      {"array length", with_pair(pair("k", kArray).put(kU32).put<std::uint64_t>(1ull << 61)), {"k", "truncated"}},
      {"array overflow",
       with_pair(pair("k", kArray).put<std::uint32_t>(10).put<std::uint64_t>(~0ull)),
       {"k", "overflows"}},
      {"array of arrays", with_pair(pair("k", kArray).put(kArray).put<std::uint64_t>(1)), {"k", "array of arrays"}},
      {"text beyond the file", with_pair(pair("k", kText).put<std::uint64_t>(1000)), {"k", "truncated"}},
      {"bool of 2", with_pair(pair("k", kBool).put<std::uint8_t>(2)), {"k", "neither 0 nor 1"}},
      {"key twice", file_of({}, 0, twice, 2), {"k", "twice"}},
      {"alignment 0",
       with_pair(pair("general.alignment", kU32).put<std::uint32_t>(0)),
       {"general.alignment", "power of two"}},
      {"alignment 48",
       with_pair(pair("general.alignment", kU32).put<std::uint32_t>(48)),
       {"general.alignment", "power of two"}},
      {"alignment of text",
       with_pair(pair("general.alignment", kText).text("32")),
       {"general.alignment", "whole number"}},
      {"five dimensions", file_of({{.dims = {1, 1, 1, 1, 1}}}), {"w", "5 dimensions"}},
      {"dimension 0", file_of({{.dims = {0}}}), {"w", "not positive"}},
      {"negative dimension", file_of({{.dims = {~0ull}}}), {"w", "-1 is not positive"}},
      {"overflow", file_of({{.dims = {1ull << 40, 1ull << 40}}}), {"w", "overflows"}},
      {"overflow in bytes", file_of({{.dims = {1ull << 31, 1ull << 31}}}), {"w", "overflows"}},
      {"unknown type", file_of({{.type = 99}}), {"w", "type 99 is unknown"}},
      {"partial block", file_of({{.dims = {33}, .type = 2}}), {"w", "33", "Q4_0", "32"}},
      {"unaligned", file_of({{.offset = 8}}), {"w", "not aligned to 32"}},
      {"out of range", file_of({{.dims = {17}}}), {"w", "out of range"}},
      {"offset out of range", file_of({{.offset = 1ull << 40}}), {"w", "out of range"}},
      {"offset overflows", file_of({{.offset = ~31ull}}), {"w", "out of range"}},
      {"overlap", file_of({{.name = "a", .dims = {16}}, {.name = "b"}}), {"b", "overlaps"}},
      {"name twice", file_of({{.name = "a"}, {.name = "a", .offset = 32}}), {"a", "twice"}},
  };
}

TEST(Gguf, EveryBadFileIsRefusedByRule) {
  const TemporaryFolder scratch;
  for (const Bad& bad : bad_files()) {
    write_file(scratch / "bad.gguf", bad.file);
    const std::string text = error_text([&] { GgufFile(scratch / "bad.gguf"); });
    EXPECT_THAT(text, HasSubstr("bad.gguf")) << bad.what;
    for (const std::string& part : bad.says) EXPECT_THAT(text, HasSubstr(part)) << bad.what;
  }
}

TEST(Gguf, VersionTwoIsReadToo) {
  const TemporaryFolder scratch;
  Bytes file = file_of({{.dims = {4, 2}}});
  file[4] = 2;
  write_file(scratch / "v2.gguf", file);
  const GgufFile gguf(scratch / "v2.gguf");
  EXPECT_EQ(gguf.version(), 2u);
  EXPECT_EQ(gguf.tensors().front().shape, (nb::Shape{2, 4})) << "rows first";
  EXPECT_EQ(bytes_of(gguf.tensor(gguf.tensors().front())), std::string(32, '\1'));
}

TEST(Gguf, MetadataOfEveryKind) {
  const TemporaryFolder scratch;
  Bytes pairs;
  pairs += pair("f32", 6).put(1e-5F);
  pairs += pair("i8", 1).put<std::int8_t>(-3);
  pairs += pair("u64", 10).put<std::uint64_t>(7);
  pairs += pair("f64", 12).put(0.1);
  pairs += pair("yes", kBool).put<std::uint8_t>(1);
  pairs += pair("text", kText).text("hello");
  pairs += pair("texts", kArray).put(kText).put<std::uint64_t>(2).text("a").text("");
  pairs += pair("ints", kArray).put<std::uint32_t>(5).put<std::uint64_t>(2).put<std::int32_t>(-1).put<std::int32_t>(2);
  pairs += pair("floats", kArray).put<std::uint32_t>(6).put<std::uint64_t>(1).put(0.5F);
  write_file(scratch / "m.gguf", file_of({}, 0, pairs, 9));
  const GgufFile g(scratch / "m.gguf");
  EXPECT_EQ(g.number("f32"), 1e-5) << "the shortest decimal, not the float's exact value";
  EXPECT_EQ(g.integer("i8"), -3);
  EXPECT_EQ(g.integer("u64"), 7);
  EXPECT_EQ(g.number("f64"), 0.1);
  EXPECT_EQ(g.boolean("yes"), true);
  EXPECT_EQ(g.text("text"), "hello");
  EXPECT_EQ(g.texts("texts"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(g.integers("ints"), (std::vector<std::int64_t>{-1, 2}));
  EXPECT_EQ(g.floats("floats"), std::vector<float>{0.5F});
  EXPECT_FALSE(g.integer("none").has_value());
  EXPECT_THAT(error_text([&] { g.integer("text"); }), HasSubstr("text: is not a whole number"));
  EXPECT_THAT(error_text([&] { g.texts("ints"); }), HasSubstr("ints: is not a list of texts"));
}

TEST(Gguf, ATruncationAtAnyLengthIsRefused) {
  const TemporaryFolder scratch;
  const std::string whole = read_file(goldens() / "unsupported_q8_1.gguf");
  ASSERT_FALSE(whole.empty());
  const GgufFile intact(goldens() / "unsupported_q8_1.gguf");
  const std::size_t end = intact.tensors().back().begin + intact.tensors().back().bytes;
  for (std::size_t length = 0; length < end; ++length) {
    write_file(scratch / "cut.gguf", whole.substr(0, length));
    EXPECT_NE(error_text([&] { GgufFile(scratch / "cut.gguf"); }), "") << length;
  }
}

TEST(Gguf, AnUnsupportedTypeIsRefusedByItsName) {
  const GgufFile gguf(goldens() / "unsupported_q8_1.gguf");
  nb::ErrorCode code{};
  for (const auto& tensor : gguf.tensors()) {
    if (tensor.type->is_supported()) continue;
    const std::string text = error_text([&] { gguf.tensor(tensor); }, &code);
    EXPECT_THAT(text, HasSubstr(std::string(tensor.name) + ": type Q8_1 is not supported"));
    EXPECT_EQ(code, nb::ErrorCode::unsupported);
    return;
  }
  FAIL() << "the golden has no such tensor";
}

TEST(Gguf, EveryTypeIsReadAndWrittenBackByteForByte) {
  const TemporaryFolder scratch;
  const GgufFile gguf(goldens() / "ggml_blocks.gguf");
  const auto values = nb::load_safetensors((goldens() / "ggml_blocks.safetensors").string()).tensors;
  std::vector<std::pair<std::string, nb::Tensor>> read;
  for (const auto& tensor : gguf.tensors()) {
    const std::string name(tensor.name);
    const nb::Tensor packed = gguf.tensor(tensor);
    // MLX has an mxfp4 and an nvfp4 too, whose bits lie elsewhere.
    EXPECT_THAT(std::string(nb::packing_of(packed).format.name), testing::AnyOf(name, name + "_gguf"));
    EXPECT_EQ(packed.to_vector<float>(), values.at(name + ".values").to_vector<float>()) << name;
    read.emplace_back(name, packed);
  }
  EXPECT_GT(read.size(), 18u);
  const std::string path = (scratch / "w.safetensors").string();
  nb::save_safetensors(path, {read.begin(), read.end()});
  const auto written = nb::load_safetensors(path).tensors;
  for (const auto& [name, packed] : read) {
    EXPECT_EQ(bytes_of(written.at(name)), bytes_of(values.at(name + ".blocks"))) << name;
  }
}

TEST(Gguf, AnAbsurdNumberOfHeadsIsRefused) {
  constexpr std::uint32_t kU64 = 10;
  for (const std::uint64_t heads :
       {std::uint64_t{1} << 62, std::uint64_t{1} << 63, std::uint64_t{5}, std::uint64_t{0}}) {
    Bytes pairs;
    pairs += pair("general.architecture", kText).text("llama");
    pairs += pair("llama.attention.head_count", kU64).put(heads);
    const TemporaryFolder scratch;
    write_file(scratch / "m.gguf", file_of({{.name = "blk.0.attn_q.weight", .dims = {4, 4}}}, 64, pairs, 2));
    EXPECT_THAT(error_text([&] { nb::files::open_gguf_weights(std::make_shared<const GgufFile>(scratch / "m.gguf")); }),
                HasSubstr("heads of an even size"))
        << heads;
  }
}

// GGUF calls Mistral's models llama, which in config.json has no window.
TEST(Gguf, AWindowSurvivesConfigJson) {
  std::string bytes = read_file(goldens() / "tiny_llama.gguf");
  Bytes pairs;
  pairs += pair("llama.attention.sliding_window", kU32).put<std::uint32_t>(4);
  pairs += pair("pp", kU32).put<std::uint32_t>(0);
  ASSERT_EQ(pairs.size() % 32, 0u) << "what follows would no longer be aligned";
  std::uint64_t count = 0;
  std::memcpy(&count, bytes.data() + 16, sizeof count);
  count += 2;
  std::memcpy(bytes.data() + 16, &count, sizeof count);
  bytes.insert(24, pairs);
  const TemporaryFolder scratch;
  write_file(scratch / "m.gguf", bytes);

  const auto model = nb::files::Checkpoint::open(scratch / "m.gguf");
  EXPECT_EQ(model.config().sliding_window, 4);
  const auto written = nb::files::parse_config(model.config_json(), "config.json");
  EXPECT_EQ(written.sliding_window, 4);
  EXPECT_EQ(written.model_type, "mistral");
  EXPECT_EQ(written.attention_bias, model.config().attention_bias);
}

TEST(Gguf, NamesOfHuggingFace) {
  EXPECT_EQ(nb::files::hugging_face_name("token_embd.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(nb::files::hugging_face_name("blk.12.attn_q.bias"), "model.layers.12.self_attn.q_proj.bias");
  EXPECT_EQ(nb::files::hugging_face_name("blk.0.attn_k_norm.weight"), "model.layers.0.self_attn.k_norm.weight");
  EXPECT_EQ(nb::files::hugging_face_name("blk.x.attn_q.weight"), "");
  EXPECT_EQ(nb::files::hugging_face_name("blk.0.ssm_a"), "");
  EXPECT_EQ(nb::files::hugging_face_name("blk.3.ffn_up_exps.weight"), "model.layers.3.mlp.switch_mlp.up_proj.weight");
  EXPECT_EQ(nb::files::gguf_name("model.layers.12.self_attn.q_proj.bias"), "blk.12.attn_q.bias");
  EXPECT_EQ(nb::files::gguf_name("model.layers.0.mlp.experts.0.up_proj.weight"), "");
}

}  // namespace
}  // namespace nibble_test
