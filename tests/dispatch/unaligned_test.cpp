// Tensors over memory that is not aligned to their elements, as files leave it: every operation gives what it gives of
// aligned ones, and those that a model does with its weights copy nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "nibble/ops.h"
#include "nibble/options.h"
#include "nibble/quantization.h"

namespace nb = nibble;
using nb::DType;
using nb::Tensor;

namespace {

/// On the host, whatever device NIBBLE_DEVICE names for the others.
class Unaligned : public testing::Test {
  const nb::with on_host_{nb::Options{}};
};

/// A contiguous tensor's values one byte past an aligned address.
Tensor unaligned(const Tensor& t) {
  const Tensor from = nb::contiguous(t);
  auto memory = std::make_shared<std::vector<std::uint64_t>>(from.nbytes() / 8 + 2);
  auto* data = reinterpret_cast<std::byte*>(memory->data()) + 1;
  std::memcpy(data, from.raw_data(), from.nbytes());
  return nb::from_borrowed(memory, data, t.shape(), t.dtype());
}
Tensor unaligned_packed(const Tensor& t) {
  const auto triplet = nb::packing_of(t).components;
  return nb::from_quantized(unaligned(triplet[0].second), unaligned(triplet[1].second), unaligned(triplet[2].second),
                            {.bits = 4, .group_size = 64});
}

std::vector<std::byte> bytes(const Tensor& t) {
  std::vector<std::byte> out(t.nbytes());
  t.copy_out(out.data(), t.dtype());
  return out;
}

struct Operands {
  Tensor matrix = nb::random_normal({24, 64}, 1);
  Tensor square = nb::random_normal({64, 64}, 2);
  Tensor row = nb::random_normal({64}, 3);
  Tensor indices = nb::arange(-1, 5, 2);
  Tensor length = nb::full({1}, 5, DType::i32);
  Tensor heads = nb::random_normal({1, 2, 6, 32}, 4);
  Tensor wide = nb::cast(nb::random_normal({5, 7}, 5), DType::f64);
};
Operands moved() {
  Operands o;
  for (Tensor* t : {&o.matrix, &o.square, &o.row, &o.indices, &o.length, &o.heads, &o.wide}) *t = unaligned(*t);
  return o;
}

using Operation = std::function<Tensor(const Operands&)>;

TEST_F(Unaligned, EveryOperationGivesTheSameBytes) {
  const std::vector<Operation> operations = {
      [](const Operands& o) { return nb::matmul(o.matrix, o.square); },
      [](const Operands& o) { return nb::matmul(o.matrix, nb::transpose(o.square)); },
      [](const Operands& o) { return nb::take(o.matrix, o.indices, 0); },
      [](const Operands& o) { return nb::take(o.matrix, o.indices, 1); },
      [](const Operands& o) { return nb::take_along_axis(o.matrix, nb::expand_dims(o.indices, 0), 1); },
      [](const Operands& o) { return nb::cast(o.matrix, DType::bf16); },
      [](const Operands& o) { return nb::cast(nb::transpose(o.wide), DType::f32); },
      [](const Operands& o) { return nb::contiguous(nb::transpose(o.matrix)); },
      [](const Operands& o) { return nb::exp(o.matrix); },
      [](const Operands& o) { return nb::add(o.matrix, o.row); },
      [](const Operands& o) { return nb::where(nb::greater(o.matrix, 0), o.matrix, o.row); },
      [](const Operands& o) { return nb::sum(o.matrix, {0}); },
      [](const Operands& o) { return nb::var(o.matrix, {1}); },
      [](const Operands& o) { return nb::argmax(o.matrix, 1); },
      [](const Operands& o) { return nb::softmax(o.matrix); },
      [](const Operands& o) { return nb::sort(o.matrix, 0); },
      [](const Operands& o) {
        return nb::concatenate(std::vector{o.matrix, o.square}, 0);
      },
      [](const Operands& o) {
        return nb::pad(o.matrix, {1, 2}, {0, 1});
      },
      [](const Operands& o) { return nb::tril(o.square); },
      [](const Operands& o) { return nb::flip(o.matrix); },
      [](const Operands& o) { return nb::repeat(o.matrix, 2, 1); },
      [](const Operands& o) {
        return nb::einsum("ij,jk->ki", std::vector{o.matrix, o.square});
      },
      [](const Operands& o) { return nb::einsum("ii->i", std::vector{o.square}); },
      [](const Operands& o) { return nb::update_slice(o.square, o.matrix, 7, 0); },
      [](const Operands& o) { return nb::rms_norm(o.matrix, o.row, 1e-5); },
      [](const Operands& o) { return nb::layer_norm(o.matrix, o.row, o.row, 1e-5); },
      [](const Operands& o) { return nb::rope(o.heads, o.length, nb::rope_frequencies(32, 1e4)); },
      [](const Operands& o) {
        nb::AttentionOptions options;
        options.causal = true;
        options.key_length = o.length;
        return nb::scaled_dot_product_attention(o.heads, o.heads, o.heads, options);
      },
      [](const Operands& o) { return nb::dequantize(nb::quantize(o.matrix, {.bits = 4, .group_size = 64})); },
  };
  const Operands straight, crooked = moved();
  for (std::size_t i = 0; i < operations.size(); ++i) {
    EXPECT_EQ(bytes(operations[i](crooked)), bytes(operations[i](straight))) << "operation " << i;
  }
}

TEST_F(Unaligned, WeightsAreReadWhereTheyLie) {
  const Tensor dense = nb::cast(nb::random_normal({128, 192}, 1), DType::bf16);
  const Tensor packed = nb::quantize(dense, {.bits = 4, .group_size = 64});
  const Tensor indices = nb::tensor<std::int32_t>({3, 0}, {2}), x = nb::random_normal({5, 192}, 2);
  for (const auto& [straight, crooked] :
       {std::pair{dense, unaligned(dense)}, std::pair{packed, unaligned_packed(packed)}}) {
    const std::uint64_t before = nb::stats().bytes_copied;
    EXPECT_EQ(bytes(nb::matmul(x, nb::transpose(crooked))), bytes(nb::matmul(x, nb::transpose(straight))));
    EXPECT_EQ(bytes(nb::take(crooked, indices, 0)), bytes(nb::take(straight, indices, 0)));
    EXPECT_EQ(bytes(nb::dequantize(crooked, DType::f32)), bytes(nb::dequantize(straight, DType::f32)));
    EXPECT_EQ(nb::stats().bytes_copied, before);
  }
}

TEST_F(Unaligned, OtherOperationsCountWhatTheyCopy) {
  const Tensor x = unaligned(nb::random_normal({8, 16}, 1));
  const std::uint64_t before = nb::stats().bytes_copied;
  nb::exp(x);
  EXPECT_EQ(nb::stats().bytes_copied - before, x.nbytes());
}

}  // namespace
