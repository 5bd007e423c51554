#include "adapters/cli/bench/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "adapters/cli/bench/bench_options.h"
#include "adapters/cli/bench/meter.h"
#include "adapters/cli/options.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

constexpr DType kDense[] = {DType::f32, DType::f16, DType::bf16};
constexpr std::int64_t kDistinctRows = 32, kMostCopies = 256;

/// The first and the last of an axis of `size`, up to `count` of each.
std::vector<std::int64_t> ends(std::int64_t size, std::int64_t count) {
  std::vector<std::int64_t> picked;
  for (std::int64_t i = 0; i < size; ++i) {
    if (i < count || i >= size - count) picked.push_back(i);
  }
  return picked;
}

/// One row of a matrix, decoded.
std::vector<float> row_of(const Tensor& matrix, std::int64_t row) {
  return reshape(dequantize(slice(matrix, 0, row, row + 1), DType::f32), {-1}).to_vector<float>();
}

/// Whether some component is stored in the weight's own float type.
bool has_own_scales(std::string_view format) {
  const std::optional<FormatInfo> info = format_info(format);
  return info && std::ranges::any_of(info->components, [](const auto& c) { return !c.dtype; });
}

}  // namespace

std::vector<std::string> weight_formats() {
  std::vector<std::string> names;
  for (const DType dtype : kDense) names.emplace_back(name(dtype));
  for (const FormatInfo& info : formats()) names.push_back(info.name);
  return names;
}

bool is_dense_format(std::string_view format) {
  return std::any_of(std::begin(kDense), std::end(kDense), [&](DType dtype) { return name(dtype) == format; });
}

void require_known_format(const std::string& format, const char* more) {
  const std::vector<std::string> known = weight_formats();
  if (std::find(known.begin(), known.end(), format) != known.end()) return;
  refuse(fmt::format("--format {}: there are {}{}", format, fmt::join(known, ", "), more));
}

Tensor random_weights(const std::string& format, std::int64_t count, std::int64_t n, std::int64_t k,
                      const RandomValues& drawn) {
  const std::int64_t distinct = std::min(n, kDistinctRows);
  const std::string what = fmt::format("weights ({}, {}, {})", count, n, k);
  require_memory(what, sizeof(float) * static_cast<double>(distinct) * static_cast<double>(k));
  const double deviation = drawn.deviation > 0 ? drawn.deviation : 1 / std::sqrt(static_cast<double>(k));
  const Tensor values = random_normal({distinct, k}, drawn.seed, 0, deviation);
  const bool dense = is_dense_format(format), own = has_own_scales(format);
  const Tensor stored = dense ? cast(values, *parse_dtype(format))
                        : own ? quantize(cast(values, DType::bf16), {.format = format})
                              : quantize(values, {.format = format});
  const double bytes_a_row = static_cast<double>(stored.nbytes()) / static_cast<double>(distinct);
  require_memory(what, bytes_a_row * static_cast<double>(count) * static_cast<double>(n));
  const Tensor rows = broadcast_to(remainder(arange(0, n), static_cast<int>(distinct)), {count, n});
  if (dense) return take(stored, rows);
  Components components = packing_of(stored).components;
  for (auto& [name, component] : components) component = take(component, rows);
  return from_components(format, components, {count, n, k}, stored.dtype());
}

Tensor random_activations(const Shape& shape, std::int64_t results, DType dtype) {
  const double values = static_cast<double>(shape.numel()), rows = values / static_cast<double>(shape.back());
  require_memory("activations " + to_string(shape),
                 static_cast<double>(itemsize(dtype)) * (values + rows * static_cast<double>(results)));
  return random_normal(shape, 2, 0, 1, dtype);
}

std::int64_t cold_copies(std::uint64_t bytes) {
  const auto wanted = static_cast<std::int64_t>(cold_bytes() / std::max<std::uint64_t>(bytes, 1)) + 1;
  return std::clamp<std::int64_t>(wanted, 2, kMostCopies);
}

double product_error(const Tensor& x, const Tensor& w, const Tensor& y) {
  double wrong = 0, all = 0;
  const std::vector<std::int64_t> columns = ends(w.size(0), 32);
  std::vector<std::vector<float>> weights;
  for (const std::int64_t column : columns) weights.push_back(row_of(w, column));
  for (const std::int64_t row : ends(x.size(0), 4)) {
    const std::vector<float> activations = row_of(x, row), results = row_of(y, row);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      double sum = 0;
      for (std::size_t i = 0; i < activations.size(); ++i) sum += static_cast<double>(activations[i]) * weights[c][i];
      const double difference = results[static_cast<std::size_t>(columns[c])] - sum;
      wrong += difference * difference;
      all += sum * sum;
    }
  }
  return all > 0 ? std::sqrt(wrong / all) : 0;
}

}  // namespace nibble::cli
