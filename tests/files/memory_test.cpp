#include <gtest/gtest.h>

#include "adapters/files/checkpoint.h"
#include "adapters/files/gguf.h"
#include "adapters/files/tokenizer_source.h"
#include "allocation_count.h"
#include "file_test_support.h"
#include "nibble/io.h"
#include "nibble/options.h"

namespace nibble_test {
namespace {

namespace nb = nibble;

constexpr std::uint64_t kSlack = 16 << 20;

/// Runs a reader that must refuse, and checks what it allocated: at most 16 MiB and four times the file.
void expect_bounded(const fs::path& file, const std::function<void()>& read) {
  const std::uint64_t storage_before = nb::stats().bytes_allocated;
  const PeakOfNew peak;
  EXPECT_THROW(read(), nb::Error) << file;
  EXPECT_LE(peak.bytes(), kSlack + 4 * fs::file_size(file)) << file;
  EXPECT_LE(nb::stats().bytes_allocated, storage_before + 4 * fs::file_size(file));
}

std::string safetensors_of(const std::string& header) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header;
}

std::string repeated(std::string_view text, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

// (gcc 12 warns of `"text" + std::string`, wrongly.)
std::string around(std::string_view before, std::string_view middle, std::string_view behind) {
  std::string out(before);
  out.append(middle).append(behind);
  return out;
}

constexpr std::size_t kLarge = 12 << 20;

TEST(Memory, HostileSafetensorsHeaders) {
  const TemporaryFolder scratch;
  const fs::path file = scratch / "h.safetensors";
  const auto check = [&](const std::string& header) {
    write_file(file, safetensors_of(header));
    expect_bounded(file, [&] { nb::load_safetensors(file); });
  };
  check(repeated("[", kLarge));
  check(repeated("{\"a\":", kLarge));
  check(around("{\"", repeated("name", kLarge), "\":3}"));
  check(around("{\"w\":{\"shape\":[", repeated("1,", kLarge), "1]}}"));
  check(around("{\"w\":{\"dtype\":\"", repeated("F", kLarge), "\"}}"));
  // Many tensors, and only the last one wrong.
  std::string many = "{";
  for (int i = 0; many.size() < kLarge; ++i)
    many += around("\"", std::to_string(i), R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)");
  check(many + R"("w":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})");
  check(R"({"w":{"dtype":"F64","shape":[1000000000000],"data_offsets":[0,8000000000000]}})");
}

TEST(Memory, HostileGgufCounts) {
  const TemporaryFolder scratch;
  const fs::path file = scratch / "h.gguf";
  const auto put = [](std::string* out, auto value) {
    out->append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  // As many of the smallest pairs as fit, and then nothing.
  std::string bytes = "GGUF";
  put(&bytes, std::uint32_t{3});
  put(&bytes, std::uint64_t{0});
  const std::uint64_t pairs = kLarge / 17;
  put(&bytes, pairs + 1);
  for (std::uint64_t i = 0; i < pairs; ++i) {
    put(&bytes, std::uint64_t{4});
    put(&bytes, static_cast<std::uint32_t>(i));
    put(&bytes, std::uint32_t{7});
    bytes += '\0';
  }
  write_file(file, bytes);
  expect_bounded(file, [&] { nb::files::GgufFile gguf(file); });
  // As many of the smallest tensors.
  bytes = "GGUF";
  put(&bytes, std::uint32_t{3});
  const std::uint64_t tensors = kLarge / 28;
  put(&bytes, tensors);
  put(&bytes, std::uint64_t{0});
  for (std::uint64_t i = 0; i < tensors; ++i) {
    put(&bytes, std::uint64_t{4});
    put(&bytes, static_cast<std::uint32_t>(i));
    put(&bytes, std::uint32_t{0});
    put(&bytes, std::uint32_t{0});
    put(&bytes, std::uint64_t{32 * i});
  }
  write_file(file, bytes);
  expect_bounded(file, [&] { nb::files::GgufFile gguf(file); });
}

TEST(Memory, HostileJsonFiles) {
  const TemporaryFolder scratch;
  const fs::path tokenizer = scratch / "tokenizer.json";
  const auto check_tokenizer = [&](const std::string& text) {
    write_file(tokenizer, text);
    expect_bounded(tokenizer, [&] { nb::files::read_tokenizer_json(tokenizer); });
  };
  check_tokenizer(repeated("[", kLarge));
  check_tokenizer(R"({"model":{"type":"BPE","vocab":{"a":4000000000}}})");
  check_tokenizer(R"({"model":{"type":"BPE","vocab":{"a":0,"b":2000000000}}})");
  check_tokenizer(R"({"added_tokens":[{"id":2000000000,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0}}})");
  // A hole behind each token.
  std::string leaps = R"({"model":{"type":"BPE","vocab":{)";
  for (int id = 16; leaps.size() < kLarge; id += 17) leaps += around("\"\":", std::to_string(id), ",");
  check_tokenizer(leaps + R"("a":0}}})");
  std::string merges = R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[)";
  while (merges.size() < kLarge) merges += "\"a b\",";
  check_tokenizer(merges + "\"b b\"]}}");

  fs::create_directory(scratch / "m");
  const auto check_folder = [&](const char* name, const std::string& text) {
    write_file(scratch / "m" / name, text);
    expect_bounded(scratch / "m" / name, [&] { nb::files::Checkpoint::open(scratch / "m"); });
    fs::remove(scratch / "m" / name);
  };
  check_folder("config.json", std::string("{\"a\":[").append(repeated("[],", 510'000)));
  check_folder("config.json", repeated("{\"a\":", 510'000));
  check_folder("config.json", repeated(" ", kLarge));
  check_folder("model.safetensors.index.json",
               around("{\"weight_map\":{", repeated("\"a\":\"b\",", kLarge), "\"c\":3}}"));
}

}  // namespace
}  // namespace nibble_test
