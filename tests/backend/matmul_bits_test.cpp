// What bits a product has: the same on any number of threads and beside any rows; and what memory it reads.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "tests/backend/matmul_cases.h"

namespace nibble_test {
namespace {

/// The bits of y of one kernel for `rows` rows of x from `first` on.
std::vector<double> bits(const MatmulKernel& kernel, const Case& c, std::int64_t first, std::int64_t rows,
                         bool deterministic) {
  const auto part = [&](const Tensor& t) {
    return nb::detail::make_view(t, {rows, t.size(1)}, t.impl().strides, t.impl().offset + first * t.impl().strides[0]);
  };
  Case some = c;
  some.x = part(c.x), some.y = part(c.y);
  run_kernel(kernel, some, deterministic);
  return values_of(some.y);
}

TEST_P(Kernels, BitsDependOnNeitherThreadsNorOtherRows) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  struct Operands {
    const Format* format;
    DType x;
  };
  for (const auto& [format, dtype] : {Operands{nb::detail::find_format("affine4-g64"), DType::f32},
                                      {nb::detail::find_format("q5_1"), DType::bf16},
                                      {nb::detail::find_format("affine3-g128"), DType::f32},
                                      {nb::detail::find_format("q6_k"), DType::f32},
                                      {nb::detail::find_format("mxfp4_gguf"), DType::f32},
                                      {nullptr, DType::f32},
                                      {nullptr, DType::bf16}}) {
    for (const auto& [orientation, rows] : {std::pair{Orientation::along, 8},
                                            {Orientation::along, unit().emulated ? 14 : 158},
                                            {Orientation::across, unit().emulated ? 14 : 158}}) {
      Case c = random_case(random, format, orientation, 1, 300);
      if (format == nullptr && dtype == DType::bf16) c = bf16_pairs(random, orientation);
      c.x = dense_matrix(rows, contracted(c), dtype, Layout::contiguous);
      c.y = dense_matrix(c.x.size(0), outputs(c), DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::outliers);
      for (const MatmulKernel& kernel : unit().kernels) {
        if (!kernel.supports(query_of(c, kernel.precision, true))) continue;
        nb::set_num_threads(1);
        const std::vector<double> one = bits(kernel, c, 0, c.x.size(0), true);
        const std::vector<double> few_rows = bits(kernel, c, 0, 3, false);
        for (const int threads : {2, 5}) {
          nb::set_num_threads(threads);
          EXPECT_EQ(bits(kernel, c, 0, c.x.size(0), true), one)
              << kernel.name << " threads " << threads << ' ' << c.text;
          EXPECT_EQ(bits(kernel, c, 0, 3, false), few_rows) << kernel.name << " threads " << threads << ' ' << c.text;
        }
        for (std::int64_t row = 0; row < c.x.size(0); row += 7) {
          const std::int64_t few = std::min<std::int64_t>(1 + row % 3, c.x.size(0) - row);
          const auto begin = one.begin() + row * outputs(c);
          EXPECT_EQ(bits(kernel, c, row, few, true), std::vector<double>(begin, begin + few * outputs(c)))
              << kernel.name << " row " << row << ' ' << c.text;
        }
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// How tall the sheets are that many rows of x pass over depends on threads.
TEST_P(Kernels, TallSheetsHaveTheSameBitsOnAnyNumberOfThreads) {
  if (unit().emulated) GTEST_SKIP() << "the loops around tiles are the processor's own";
  Random random = this->random();
  const int threads_before = nb::num_threads();
  constexpr std::int64_t kRows = 142, kOutputs = 600, kLength = 1088;
  const Case c = packed_case(
      packed_matrix(*nb::detail::find_format("affine4-g64"), kOutputs, kLength, DType::f32, random), kRows, random);
  check(unit(), c);
  for (const MatmulKernel& kernel : unit().kernels) {
    if (!kernel.supports(query_of(c, kernel.precision, false))) continue;
    nb::set_num_threads(1);
    const std::vector<double> one = bits(kernel, c, 0, kRows, false);
    for (const int threads : {2, 5}) {
      nb::set_num_threads(threads);
      EXPECT_EQ(bits(kernel, c, 0, kRows, false), one) << kernel.name << " threads " << threads;
    }
  }
  nb::set_num_threads(threads_before);
}

/// Packed rows as lanes, of which the last tile has a few; threads have parts of the tiles.
TEST_P(Kernels, LanesHaveTheSameBitsOnAnyNumberOfThreads) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  for (const char* name : {"affine4-g64", "affine4-g32", "affine2-g128", "affine8-g64", "affine3-g64", "affine5-g128",
                           "affine6-g32", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"}) {
    const Format& format = *nb::detail::find_format(name);
    const std::int64_t outputs = unit().emulated ? 77 : 1101, length = format.group_size * pick(random, 1, 17);
    for (const std::int64_t rows : {5, 37}) {
      const Case c = packed_case(packed_matrix(format, outputs, length, choose(random, kFloats), random), rows, random);
      check(unit(), c);
      for (const MatmulKernel& kernel : unit().kernels) {
        if (kernel.precision == Precision::exact || !kernel.supports(query_of(c, kernel.precision))) continue;
        nb::set_num_threads(1);
        const std::vector<double> one = bits(kernel, c, 0, rows, false);
        for (const int threads : {2, 5}) {
          nb::set_num_threads(threads);
          EXPECT_EQ(bits(kernel, c, 0, rows, false), one) << kernel.name << " threads " << threads << ' ' << c.text;
        }
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// So many weights that a thread reads its share of few rows' products in parts; of how many depends on threads.
TEST_P(Kernels, PartsOfSharesGiveEveryOutput) {
  if (unit().emulated) GTEST_SKIP() << "the loops around tiles are the processor's own";
  Random random = this->random();
  const int threads_before = nb::num_threads();
  constexpr std::int64_t kRows = 3, kOutputs = 4108, kLength = 1056;
  const Case c = packed_case(packed_matrix(*nb::detail::find_format("q4_1"), kOutputs, kLength, DType::f32, random),
                             kRows, random);
  check(unit(), c);
  for (const MatmulKernel& kernel : unit().kernels) {
    if (!kernel.supports(query_of(c, kernel.precision, false))) continue;
    for (const std::int64_t rows : {std::int64_t{1}, kRows}) {
      nb::set_num_threads(1);
      const std::vector<double> one = bits(kernel, c, 0, rows, false);
      for (const int threads : {2, 5}) {
        nb::set_num_threads(threads);
        EXPECT_EQ(bits(kernel, c, 0, rows, false), one) << kernel.name << " threads " << threads << " rows " << rows;
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// Outputs so few that threads share what is summed.
TEST_P(Kernels, FewOutputsHaveTheSameBitsOnAnyNumberOfThreads) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  constexpr std::int64_t kRows = 14;  // they take lanes, where one row alone does not
  const std::int64_t length = unit().emulated ? 4096 : 9216;
  for (const Orientation orientation : {Orientation::along, Orientation::across}) {
    for (const bool packed : {false, true}) {
      const bool along = orientation == Orientation::along;
      const std::int64_t outputs = packed ? 64 : 20, rows = along ? outputs : length,
                         columns = along ? length : outputs;
      Case c;
      c.orientation = orientation;
      c.w = packed ? packed_matrix(*nb::detail::find_format("affine4-g64"), rows, columns, DType::f32, random)
                   : dense_matrix(rows, columns, DType::f32, Layout::contiguous);
      if (!packed) fill_normal(c.w, random, Values::gaussian);
      const std::vector<float> values = packed ? decoded(c.w) : std::vector<float>();
      c.weights = packed ? std::vector<double>(values.begin(), values.end()) : values_of(c.w);
      c.x = dense_matrix(kRows, length, DType::f32, Layout::contiguous);
      c.y = dense_matrix(kRows, outputs, DType::f32, Layout::contiguous);
      fill_normal(c.x, random, Values::gaussian);
      c.text = "few outputs";
      check(unit(), c);
      for (const MatmulKernel& kernel : unit().kernels) {
        if (!kernel.supports(query_of(c, kernel.precision, true))) continue;
        nb::set_num_threads(1);
        const std::vector<double> one = bits(kernel, c, 0, kRows, true);
        nb::set_num_threads(5);
        EXPECT_EQ(bits(kernel, c, 0, kRows, true), one) << kernel.name;
        EXPECT_EQ(bits(kernel, c, 0, 1, true), std::vector<double>(one.begin(), one.begin() + outputs)) << kernel.name;
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// The same packed matrix, each component of which ends where readable memory does.
Tensor at_the_edge(const Tensor& packed) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  auto packing = std::make_shared<nb::Packing>(*packed.packing());
  for (Tensor& component : packing->components) {
    const auto bytes = static_cast<std::size_t>(component.numel()) * nb::itemsize(component.dtype());
    const std::size_t readable = (bytes + page - 1) / page * page;
    auto* memory = static_cast<std::byte*>(
        mmap(nullptr, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory + readable, page, PROT_NONE);
    std::byte* data = memory + readable - bytes;
    std::memcpy(data, nb::detail::bytes_of(component), bytes);
    auto storage = std::make_shared<nb::detail::Storage>(data, bytes, component.device(), false,
                                                         [=] { munmap(memory, readable + page); });
    component = nb::detail::make_tensor(
        {component.shape(), component.impl().strides, 0, component.dtype(), std::move(storage), nullptr});
  }
  return nb::detail::make_tensor(
      {packed.shape(), packed.impl().strides, packed.impl().offset, packed.dtype(), nullptr, std::move(packing)});
}

TEST_P(Kernels, FewRowsOfEveryCountReadNothingPastTheEnd) {
  Random random = this->random();
  for (const Format* format : nb::detail::format_table()) {
    for (int rows = 1; rows <= 9; rows += unit().emulated ? 3 : 1) {
      const std::int64_t n = pick(random, 1, 9),
                         length = format->block * pick(random, 1, std::max(2, 700 / format->block));
      Case c =
          packed_case(at_the_edge(packed_matrix(*format, n, length, choose(random, kFloats), random)), rows, random);
      c.text += ", rows " + std::to_string(rows);
      check(unit(), c);
    }
  }
}

/// Rows of x too long for the first cache, where more packed rows may be read side by side or in pieces, some of them
/// left over; they end in either half of what is read at once.
TEST_P(Kernels, FewRowsFarAwayHaveTheBitsOfOneAlone) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  const std::int64_t rows = 16;
  for (const Format* format : nb::detail::format_table()) {
    const std::int64_t length = (pick(random, 0, 1) == 0 ? 2112 : 2400) / format->block * format->block;
    for (const int n : {pick(random, 1, 9), unit().emulated ? 11 : 67}) {
      const Case c =
          packed_case(at_the_edge(packed_matrix(*format, n, length, choose(random, kFloats), random)), rows, random);
      check(unit(), c);
      for (const MatmulKernel& kernel : unit().kernels) {
        if (kernel.precision == nb::Precision::exact || !kernel.supports(query_of(c, kernel.precision, true))) continue;
        nb::set_num_threads(1);
        const std::vector<double> all = bits(kernel, c, 0, rows, true);
        for (const int threads : {2, 5}) {
          nb::set_num_threads(threads);
          EXPECT_EQ(bits(kernel, c, 0, rows, true), all) << kernel.name << " threads " << threads << ' ' << c.text;
        }
        for (const auto& [row, few] : {std::pair<std::int64_t, std::int64_t>{0, 1}, {5, 1}, {15, 1}, {3, 13}}) {
          const auto begin = all.begin() + row * n;
          EXPECT_EQ(bits(kernel, c, row, few, true), std::vector<double>(begin, begin + few * n))
              << kernel.name << " row " << row << ' ' << c.text;
        }
      }
    }
  }
  nb::set_num_threads(threads_before);
}

/// Rows without gaps, of a length that few-row products read several of as one.
TEST_P(Kernels, RowsThatEndInsideAChunkShareIt) {
  Random random = this->random();
  const int threads_before = nb::num_threads();
  for (const Format* format : nb::detail::format_table()) {
    const std::int64_t blocks = (512 + format->block - 1) / format->block;
    const bool shared = format->name == "affine4-g64" || format->name == "q4_1";  // by threads
    const std::int64_t n = 16 * (shared ? 32 : pick(random, 1, 3)),
                       length = format->block * (blocks + pick(random, 0, 12));
    const Case c =
        packed_case(at_the_edge(packed_matrix(*format, n, length, choose(random, kFloats), random)), 1, random);
    check(unit(), c);
    for (const MatmulKernel& kernel : unit().kernels) {
      if (!kernel.supports(query_of(c, kernel.precision))) continue;
      nb::set_num_threads(1);
      const std::vector<double> alone = bits(kernel, c, 0, 1, false);
      nb::set_num_threads(5);
      EXPECT_EQ(bits(kernel, c, 0, 1, false), alone) << kernel.name << ' ' << c.text;
    }
  }
  nb::set_num_threads(threads_before);
}

}  // namespace
}  // namespace nibble_test
