// Weights as files leave them: at any address. Every kernel of every unit gives the bits that it gives of aligned ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/backend/kernel_data.h"
#include "tests/backend/kernel_units.h"

namespace nibble_test {
namespace {

using nb::detail::Format;
using nb::detail::MatmulKernel;
using nb::detail::Orientation;

/// The same tensor `shift` bytes past an aligned address.
Tensor shifted(const Tensor& t, std::size_t shift) {
  const std::size_t bytes = t.impl().storage->bytes();
  auto memory = std::make_shared<std::vector<std::uint64_t>>((bytes + shift) / 8 + 1);
  std::byte* data = reinterpret_cast<std::byte*>(memory->data()) + shift;
  std::memcpy(data, t.impl().storage->data(), bytes);
  auto storage = std::make_shared<nb::detail::Storage>(data, bytes, t.device(), false, [memory] {});
  return nb::detail::make_tensor(
      {t.shape(), t.impl().strides, t.impl().offset, t.dtype(), std::move(storage), nullptr});
}
Tensor with_shifted_components(const Tensor& packed, std::size_t shift) {
  auto packing = std::make_shared<nb::Packing>(*packed.packing());
  for (Tensor& component : packing->components) component = shifted(component, shift);
  return nb::detail::make_tensor(
      {packed.shape(), packed.impl().strides, packed.impl().offset, packed.dtype(), nullptr, std::move(packing)});
}

class Unaligned : public testing::TestWithParam<std::size_t> {
 protected:
  const UnitUnderTest& unit() const { return units_under_test()[GetParam()]; }

  /// The bits of all kernels that take the operands.
  std::vector<double> products(const Tensor& x, const Tensor& w, Orientation orientation) const {
    const std::int64_t columns = orientation == Orientation::along ? w.size(0) : w.size(1);
    const Format* format = w.is_quantized() ? w.packing()->format : nullptr;
    std::vector<double> bits;
    for (const MatmulKernel& kernel : unit().kernels) {
      if (!kernel.supports({format, w.dtype(), orientation, x.size(0), kernel.precision, false})) continue;
      const Tensor y = dense_matrix(x.size(0), columns, DType::f32, Layout::contiguous);
      kernel.run({x, w, y, orientation, kernel.precision, false});
      std::ranges::copy(values_of(y), std::back_inserter(bits));
    }
    return bits;
  }
};

TEST_P(Unaligned, PackedWeights) {
  Random random(seed());
  const std::vector<DType> dtypes = {DType::f32, DType::f16, DType::bf16};
  for (const Format* format : nb::detail::format_table()) {
    for (const Orientation orientation : {Orientation::along, Orientation::across}) {
      for (const int rows : {1, 3, unit().emulated ? 9 : 33}) {
        const std::int64_t length = format->block * pick(random, 1, std::max(2, 600 / format->block));
        const Tensor w = packed_matrix(*format, pick(random, 1, 40), length, choose(random, dtypes), random);
        const Tensor x = dense_matrix(rows, orientation == Orientation::along ? length : w.size(0),
                                      choose(random, dtypes), Layout::contiguous);
        fill_normal(x, random, Values::gaussian);
        const auto shift = static_cast<std::size_t>(pick(random, 0, 3) * 2 + 1);
        EXPECT_EQ(products(shifted(x, shift), with_shifted_components(w, shift), orientation),
                  products(x, w, orientation))
            << format->name << ' ' << nb::to_string(w.shape()) << " shifted by " << shift;
      }
    }
  }
}

TEST_P(Unaligned, DenseWeights) {
  Random random(seed());
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const Layout layout : {Layout::contiguous, Layout::transposed, Layout::gaps}) {
      for (const Orientation orientation : {Orientation::along, Orientation::across}) {
        for (const int rows : {1, 5, 33}) {
          const Tensor w = dense_matrix(pick(random, 1, 70), 2 * pick(random, 1, 150), dtype, layout);
          const Tensor x =
              dense_matrix(rows, orientation == Orientation::along ? w.size(1) : w.size(0), dtype, Layout::contiguous);
          fill_normal(w, random, Values::gaussian);
          fill_normal(x, random, Values::gaussian);
          EXPECT_EQ(products(shifted(x, 1), shifted(w, 3), orientation), products(x, w, orientation))
              << nb::name(dtype) << ' ' << nb::to_string(w.shape());
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Units, Unaligned, testing::Range(std::size_t{0}, units_under_test().size()),
                         [](const testing::TestParamInfo<std::size_t>& info) {
                           return units_under_test()[info.param].name;
                         });

}  // namespace
}  // namespace nibble_test
