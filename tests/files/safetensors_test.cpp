#include "adapters/files/safetensors.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <numeric>

#include "file_test_support.h"
#include "nibble/io.h"
#include "nibble/ops.h"
#include "nibble/options.h"
#include "nibble/quantization.h"

namespace nibble_test {
namespace {

namespace nb = nibble;
using ::testing::HasSubstr;

/// A file with this header text and so many bytes of data.
std::string file_with(std::string header, std::size_t data_bytes, std::uint64_t claimed = 0) {
  std::uint64_t length = claimed ? claimed : header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data_bytes, '\1');
}

struct BadHeader {
  const char* what;
  std::string file;
  std::vector<std::string> says;  // what the error must name
};

std::vector<BadHeader> bad_headers() {
  const auto one = [](const char* fields, std::size_t data = 8) {
    return file_with(std::string("{\"w\":{") + fields + "}}", data);
  };
  return {
      {"empty", "", {"is empty"}},
      {"a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", {"Git LFS pointer"}},
      {"some text", "Hello, this is no tensor at all", {"is not a safetensors file"}},
      {"short", "\1\2\3", {"truncated"}},
      {"gguf", "GGUF\3\0\0\0________", {"GGUF"}},
      {"over 100 MB", file_with("{}", 0, 100'000'001), {"100 MB"}},
      {"header beyond the file", file_with("{}", 0, 4000), {"truncated"}},
      {"huge", file_with("{}", 0, ~0ull), {"100 MB"}},
      {"not JSON", file_with("{\"w\":", 0), {"JSON"}},
      {"no object", file_with("[1,2]", 0), {"'{'"}},
      {"text for a tensor", file_with("{\"w\":\"x\"}", 0), {"w", "text"}},
      {"trailing text", file_with("{}x", 0), {"JSON"}},
      {"unknown dtype", one(R"("dtype":"F4","shape":[2],"data_offsets":[0,8])"), {"w", "F4", "not supported"}},
      {"negative shape", one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), {"w", "shape is negative"}},
      {"fractional shape", one(R"("dtype":"F32","shape":[2.5],"data_offsets":[0,8])"), {"w", "whole number"}},
      {"shape over 2^64",
       one(R"("dtype":"F32","shape":[99999999999999999999999],"data_offsets":[0,8])"),
       {"w", "whole number"}},
      {"overflowing shape",
       one(R"("dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8])"),
       {"w", "overflows"}},
      {"overflow behind a zero",
       one(R"("dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0])", 0),
       {"w", "overflows"}},
      {"shape of 2^63", one(R"("dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,8])"), {"w", "overflows"}},
      {"nine axes", one(R"("dtype":"U8","shape":[1,1,1,1,1,1,1,1,8],"data_offsets":[0,8])"), {"w", "8 axes"}},
      {"out of range", one(R"("dtype":"F32","shape":[4],"data_offsets":[0,16])"), {"w", "out of range"}},
      {"backwards", one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), {"w", "backwards"}},
      {"size", one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), {"w", "12 bytes", "8"}},
      {"hole", one(R"("dtype":"U8","shape":[4],"data_offsets":[4,8])"), {"w", "hole of 4"}},
      {"left over", one(R"("dtype":"U8","shape":[4],"data_offsets":[0,4])"), {"4 bytes after"}},
      {"overlap",
       file_with(
           R"({"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           8),
       {"b", "overlap"}},
      {"twice",
       file_with(
           R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           8),
       {"a", "twice"}},
      {"a field twice",
       one(R"("dtype":"U8","dtype":"I8","shape":[8],"data_offsets":[0,8])"),
       {"w", "dtype is there twice"}},
      {"no shape", one(R"("dtype":"U8","data_offsets":[0,8])"), {"w", "missing"}},
      {"three offsets", one(R"("dtype":"U8","shape":[8],"data_offsets":[0,8,8])"), {"w", "two numbers"}},
      {"one offset", one(R"("dtype":"U8","shape":[8],"data_offsets":[8])"), {"w", "two numbers"}},
      {"unknown key", one(R"("dtype":"U8","shape":[8],"data_offsets":[0,8],"strides":[1])"), {"w", "strides"}},
      {"nested", one(R"("dtype":"U8","shape":[[8]],"data_offsets":[0,8])"), {"w", "array"}},
      {"metadata of numbers", file_with(R"({"__metadata__":{"a":1}})", 0), {"__metadata__", "number"}},
      {"name with a line break",
       file_with("{\"a\\nb\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8),
       {"a\\x0ab"}},
  };
}

TEST(Safetensors, EveryBadHeaderIsRefusedByRule) {
  const TemporaryFolder scratch;
  for (const BadHeader& bad : bad_headers()) {
    const fs::path file = scratch / "bad.safetensors";
    write_file(file, bad.file);
    const std::string text = error_text([&] { nb::load_safetensors(file); });
    EXPECT_THAT(text, HasSubstr("bad.safetensors")) << bad.what;
    for (const std::string& part : bad.says) EXPECT_THAT(text, HasSubstr(part)) << bad.what;
  }
}

TEST(Safetensors, ABoolIsZeroOrOne) {
  const TemporaryFolder scratch;
  std::string bytes = file_with(R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", 2);
  write_file(scratch / "b.safetensors", bytes);
  EXPECT_EQ(bytes_of(nb::load_safetensors(scratch / "b.safetensors").tensors.at("w")), "\1\1");
  bytes.back() = '\2';
  write_file(scratch / "b.safetensors", bytes);
  EXPECT_THAT(error_text([&] { nb::load_safetensors(scratch / "b.safetensors"); }), HasSubstr("neither 0 nor 1"));
}

nb::TensorMap one_of_every_dtype() {
  std::vector<unsigned char> bytes(48);
  std::iota(bytes.begin(), bytes.end(), 0);
  nb::TensorMap tensors;
  for (int d = 0; d < nb::kDTypeCount; ++d) {
    const auto dtype = static_cast<nb::DType>(d);
    std::vector<unsigned char> values = bytes;
    if (dtype == nb::DType::boolean)
      for (auto& v : values) v &= 1;
    tensors.emplace("t." + std::string(nb::name(dtype)), nb::from_data(values.data(), {2, 3}, dtype));
  }
  tensors.emplace("empty", nb::from_data(bytes.data(), {0, 4}, nb::DType::f32));
  tensors.emplace("scalar", nb::from_data(bytes.data(), {}, nb::DType::i64));
  return tensors;
}

TEST(Safetensors, EveryDtypeSurvivesSavingByteForByte) {
  const TemporaryFolder scratch;
  const auto tensors = one_of_every_dtype();
  nb::save_safetensors(scratch / "all.safetensors", tensors, {{"key", "va\"lue\n"}});
  const auto back = nb::load_safetensors(scratch / "all.safetensors");
  EXPECT_EQ(back.metadata.at("key"), "va\"lue\n");
  ASSERT_EQ(back.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const nb::Tensor& other = back.tensors.at(name);
    EXPECT_EQ(other.dtype(), tensor.dtype()) << name;
    EXPECT_EQ(other.shape(), tensor.shape()) << name;
    EXPECT_EQ(bytes_of(other), bytes_of(tensor)) << name;
    // The writer's order keeps every tensor aligned, so that nothing is copied when it is loaded.
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(other.raw_data()) % nb::itemsize(other.dtype()), 0u) << name;
  }
}

TEST(Safetensors, ATruncationAtAnyLengthIsRefused) {
  const TemporaryFolder scratch;
  nb::save_safetensors(scratch / "all.safetensors", one_of_every_dtype());
  const std::string whole = read_file(scratch / "all.safetensors");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_file(scratch / "cut.safetensors", whole.substr(0, length));
    EXPECT_NE(error_text([&] { nb::load_safetensors(scratch / "cut.safetensors"); }), "") << length;
  }
}

TEST(Safetensors, AFlippedBitIsReadOrRefusedButNothingElse) {
  const TemporaryFolder scratch;
  nb::save_safetensors(scratch / "all.safetensors", one_of_every_dtype());
  const std::string whole = read_file(scratch / "all.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  int refused = 0;
  for (std::size_t at = 0; at < 8 + header; ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 7)));
    write_file(scratch / "flip.safetensors", bytes);
    try {
      nb::load_safetensors(scratch / "flip.safetensors");
    } catch (const nb::Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, static_cast<int>(header / 2));
}

/// A file whose header is a byte longer than the writer's, which leaves every tensor unaligned.
void unalign(const fs::path& file) {
  std::string bytes = read_file(file);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  bytes.insert(8 + length, " ");
  ++length;
  std::memcpy(bytes.data(), &length, 8);
  write_file(file, bytes);
}

TEST(Safetensors, UnalignedWeightsAreReadWhereTheyLie) {
  const TemporaryFolder scratch;
  const nb::Tensor dense = nb::cast(nb::random_normal({512, 512}, 7), nb::DType::bf16);
  const nb::Tensor packed = nb::quantize(dense, {.bits = 4, .group_size = 64});
  const nb::Tensor norm = nb::random_normal({64}, 3);
  nb::save_safetensors(scratch / "u.safetensors",
                       {{"dense.weight", dense}, {"packed.weight", packed}, {"norm.weight", norm}});
  unalign(scratch / "u.safetensors");

  const std::uint64_t before = nb::stats().bytes_allocated;
  const nb::TensorMap tensors = nb::load(scratch / "u.safetensors");
  EXPECT_LE(nb::stats().bytes_allocated, before + 32768);  // the norm; scales and biases of 8 KiB
  const nb::Tensor x = nb::random_normal({3, 512}, 8);
  const nb::with strict({.fallback = nb::Fallback::error});
  const std::uint64_t copied = nb::stats().bytes_copied;
  for (const auto& [name, expected] : {std::pair{"dense.weight", dense}, std::pair{"packed.weight", packed}}) {
    const nb::Tensor& w = tensors.at(name);
    const nb::Tensor stored = w.is_quantized() ? nb::packing_of(w).components[0].second : w;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(stored.raw_data()) % 2, 1u);
    EXPECT_EQ(nb::matmul(x, nb::transpose(w)).to_vector<float>(),
              nb::matmul(x, nb::transpose(expected)).to_vector<float>());
  }
  // Small tensors are copied once, at loading, so that no operation has to.
  EXPECT_EQ(nb::multiply(tensors.at("norm.weight"), 1).to_vector<float>(), norm.to_vector<float>());
  EXPECT_EQ(nb::stats().bytes_copied, copied);

  nb::save_safetensors(scratch / "again.safetensors", tensors);
  const nb::Components codes = nb::packing_of(nb::load(scratch / "again.safetensors").at("packed.weight")).components;
  for (std::size_t c = 0; c < codes.size(); ++c) {
    EXPECT_EQ(bytes_of(codes[c].second), bytes_of(nb::packing_of(packed).components[c].second));
  }
}

TEST(Safetensors, PackedTensorsSurviveSavingByteForByte) {
  const TemporaryFolder scratch;
  const nb::Tensor w = nb::random_normal({6, 128}, 7);
  nb::TensorMap tensors;
  for (const char* format : {"affine4-g64", "affine3-g32", "mxfp4", "mxfp8", "nvfp4_global", "q4_0", "q8_0"}) {
    tensors.emplace(std::string(format) + ".weight", nb::quantize(w, {.format = format}));
  }
  tensors.emplace("half.weight", nb::quantize(nb::cast(w, nb::DType::bf16), {.bits = 5, .group_size = 128}));
  tensors.emplace("dense.weight", w);
  nb::save_safetensors(scratch / "p.safetensors", tensors);
  EXPECT_TRUE(nb::load_safetensors(scratch / "p.safetensors").tensors.contains("affine4-g64.scales"));

  const nb::TensorMap back = nb::load(scratch / "p.safetensors");
  ASSERT_EQ(back.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const nb::Tensor& other = back.at(name);
    ASSERT_EQ(other.is_quantized(), tensor.is_quantized()) << name;
    EXPECT_EQ(other.shape(), tensor.shape());
    EXPECT_EQ(other.dtype(), tensor.dtype()) << name;
    if (!tensor.is_quantized()) continue;
    const auto a = nb::packing_of(tensor), b = nb::packing_of(other);
    EXPECT_EQ(a.format.name, b.format.name);
    for (std::size_t c = 0; c < a.components.size(); ++c)
      EXPECT_EQ(bytes_of(a.components[c].second), bytes_of(b.components[c].second)) << name;
  }
}

TEST(Safetensors, ATransposedPackedTensorIsNotSavedAsSomethingElse) {
  const TemporaryFolder scratch;
  const nb::Tensor packed = nb::quantize(nb::random_normal({64, 128}, 1));
  EXPECT_THAT(error_text([&] {
                nb::save_safetensors(scratch / "t.safetensors", {{"w", nb::transpose(packed)}});
              }),
              HasSubstr("transposed"));
  EXPECT_FALSE(fs::exists(scratch / "t.safetensors"));
}

TEST(SafetensorsWriter, StreamsTensorsInAnyOrder) {
  const TemporaryFolder scratch;
  const std::vector<nb::files::TensorDeclaration> declarations{{"a", nb::DType::u8, {4}}, {"b", nb::DType::f32, {2}}};
  const std::vector<float> b{1, 2};
  {
    nb::files::SafetensorsWriter writer(scratch / "s.safetensors", declarations);
    writer.append("a", std::as_bytes(std::span("xy", 2)));
    writer.append("b", std::as_bytes(std::span(b)));
    EXPECT_THAT(error_text([&] { writer.finish(); }), HasSubstr("a: 2 bytes are missing"));
    EXPECT_THAT(error_text([&] { writer.append("b", std::as_bytes(std::span("x", 1))); }), HasSubstr("more bytes"));
    EXPECT_THAT(error_text([&] { writer.append("c", std::as_bytes(std::span("x", 1))); }), HasSubstr("not declared"));
    EXPECT_FALSE(fs::exists(scratch / "s.safetensors"));
    writer.append("a", std::as_bytes(std::span("zw", 2)));
    writer.finish();
  }
  const auto back = nb::load_safetensors(scratch / "s.safetensors");
  EXPECT_EQ(bytes_of(back.tensors.at("a")), "xyzw");
  EXPECT_EQ(back.tensors.at("b").to_vector<float>(), b);
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 1);
}

TEST(AtomicFile, WhatCannotBeWrittenLeavesTheOldFile) {
  const TemporaryFolder scratch;
  const fs::path file = scratch / "old.safetensors";
  nb::save_safetensors(file, {{"w", nb::full({4}, 1)}});
  const std::string before = read_file(file);

  // A disk that is full after 64 KiB.
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{65536, old.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  nb::ErrorCode code{};
  const std::string text = error_text([&] { nb::save_safetensors(file, {{"w", nb::full({100'000}, 2)}}); }, &code);
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(code, nb::ErrorCode::io_error);
  EXPECT_THAT(text, HasSubstr("old.safetensors"));
  EXPECT_EQ(read_file(file), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(scratch.path()), fs::directory_iterator()), 1)
      << "a temporary file is left";

  EXPECT_THAT(error_text([&] { nb::save_safetensors(scratch / "no" / "such.safetensors", {}); }, &code),
              HasSubstr("cannot be written"));
  EXPECT_EQ(code, nb::ErrorCode::io_error);
}

/// Root, which may write anywhere, is somebody else for a while.
class WithoutRootsPower {
 public:
  WithoutRootsPower() { EXPECT_TRUE(user_ != 0 || ::seteuid(65534) == 0); }
  ~WithoutRootsPower() { EXPECT_EQ(::seteuid(user_), 0); }

 private:
  uid_t user_ = ::geteuid();
};

TEST(AtomicFile, AFolderWithoutPermissionIsRefused) {
  const TemporaryFolder scratch;
  const fs::path file = scratch / "w.safetensors";
  nb::save_safetensors(file, {});
  fs::permissions(scratch.path(), fs::perms(0555));
  {
    const WithoutRootsPower nobody;
    EXPECT_THAT(error_text([&] {
                  nb::save_safetensors(file, {{"w", nb::full({4}, 1)}});
                }),
                HasSubstr("cannot be written"));
  }
  fs::permissions(scratch.path(), fs::perms::owner_all);
  EXPECT_TRUE(nb::load_safetensors(file).tensors.empty());
}

}  // namespace
}  // namespace nibble_test
