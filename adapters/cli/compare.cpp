#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/cli/command.h"
#include "adapters/files/checkpoint.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble::cli {
namespace {

constexpr std::int64_t kBlock = 1 << 20;  // elements that are decoded at once

/// How far the values of one tensor are from another's.
struct Distance {
  double largest = 0;
  double missed = 0, first = 0, second = 0, product = 0;  ///< Σ(a − b)², Σa², Σb², Σab
  std::int64_t count = 0;

  void add(const std::vector<float>& a, const std::vector<float>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      ++count;
      if (std::isnan(a[i]) && std::isnan(b[i])) continue;
      const double x = a[i], y = b[i], miss = x == y ? 0 : std::abs(x - y);
      if (!(miss <= largest)) largest = miss;
      missed += miss * miss, first += x * x, second += y * y, product += x * y;
    }
  }
  double mse() const { return count == 0 ? 0 : missed / static_cast<double>(count); }
  double relative_rmse() const { return missed == 0 ? 0 : std::sqrt(missed / first); }
  double cosine() const { return missed == 0 ? 1 : product / std::sqrt(first * second); }
};

/// JSON has no infinity and no NaN.
Json json_number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

/// Few rows at a time, so that no tensor is ever whole in memory but in its file.
Distance distance(const Tensor& a, const Tensor& b) {
  Distance sum;
  const auto add = [&](const Tensor& x, const Tensor& y) {
    sum.add(dequantize(x, DType::f32).to_vector<float>(), dequantize(y, DType::f32).to_vector<float>());
  };
  if (a.numel() <= kBlock || a.ndim() == 0) {
    add(a, b);
    return sum;
  }
  const std::int64_t rows = a.size(0), step = std::max<std::int64_t>(1, kBlock / (a.numel() / rows));
  for (std::int64_t i = 0; i < rows; i += step) {
    const std::int64_t end = std::min(i + step, rows);
    add(slice(a, 0, i, end), slice(b, 0, i, end));
  }
  return sum;
}

/// What a tensor is stored as: itself, or its components.
Components pieces_of(const Tensor& tensor) {
  return tensor.is_quantized() ? packing_of(tensor).components : Components{{"", tensor}};
}

/// The first byte in which two tensors of one format differ.
struct ByteDifference {
  std::string part;
  std::size_t byte;
};
std::optional<ByteDifference> first_difference(const Tensor& a, const Tensor& b) {
  const Components pieces = pieces_of(a), others = pieces_of(b);
  if (pieces.size() != others.size()) return ByteDifference{std::string(kInputOrder), 0};
  for (std::size_t c = 0; c < pieces.size(); ++c) {
    const Tensor x = contiguous(pieces[c].second), y = contiguous(others[c].second);
    if (x.dtype() != y.dtype()) return ByteDifference{pieces[c].first, 0};
    const auto* first = static_cast<const unsigned char*>(x.raw_data());
    const auto* second = static_cast<const unsigned char*>(y.raw_data());
    const std::size_t bytes = x.nbytes();
    if (bytes == 0 || std::memcmp(first, second, bytes) == 0) continue;
    return ByteDifference{pieces[c].first,
                          static_cast<std::size_t>(std::mismatch(first, first + bytes, second).first - first)};
  }
  return {};
}

Json compare_tensors(const files::TensorInfo& a, const files::TensorInfo& b, const Tensor& first,
                     const Tensor& second) {
  const Distance far = distance(first, second);
  Json row = {{"name", a.name},
              {"shape", std::vector<std::int64_t>(a.shape.begin(), a.shape.end())},
              {"formats", {a.format, b.format}},
              {"max_error", json_number(far.largest)},
              {"mse", json_number(far.mse())},
              {"relative_rmse", json_number(far.relative_rmse())},
              {"cosine", json_number(far.cosine())}};
  if (a.format != b.format) return row;
  const std::optional<ByteDifference> difference = first_difference(first, second);
  row["same_bytes"] = !difference;
  if (difference) row["first_difference"] = {{"part", difference->part}, {"byte", difference->byte}};
  return row;
}

class Compare final : public Command {
 public:
  void declare(Arguments& arguments) override {
    arguments.required("A", &first_, "a model: errors are relative to its values");
    arguments.required("B", &second_, "a model with tensors of the same names");
  }

  Json run(const Console&) override {
    const files::Checkpoint a = files::Checkpoint::open(first_), b = files::Checkpoint::open(second_);
    Json rows = Json::array(), alone = Json::array();
    for (const files::TensorInfo& info : a.tensors()) {
      const files::TensorInfo* other = b.find(info.name);
      if (!other) {
        alone.push_back({{"name", info.name}, {"in", first_}});
      } else if (!(info.shape == other->shape)) {
        alone.push_back({{"name", info.name}, {"shapes", {to_string(info.shape), to_string(other->shape)}}});
      } else {
        rows.push_back(compare_tensors(info, *other, a.get(info.name), b.get(info.name)));
      }
    }
    for (const files::TensorInfo& info : b.tensors()) {
      if (!a.contains(info.name)) alone.push_back({{"name", info.name}, {"in", second_}});
    }
    return {{"tensors", std::move(rows)}, {"not_compared", std::move(alone)}};
  }

  void print(const Json& result) const override {
    std::size_t widest = 4;
    for (const Json& row : result["tensors"])
      widest = std::max(widest, row["name"].get_ref<const std::string&>().size());
    fmt::print("{:<{}}  {:<25}  {:>9}  {:>9}  {:>9}  {:>10}  {}\n", "name", widest, "formats", "max error", "rel. RMSE",
               "MSE", "cosine", "bytes");
    for (const Json& row : result["tensors"]) {
      const auto shown = [&](const char* key) { return row[key].is_null() ? NAN : row[key].get<double>(); };
      fmt::print("{:<{}}  {:<25}  {:>9.3g}  {:>9.3g}  {:>9.3g}  {:>10.8f}  {}\n", row["name"].get<std::string>(),
                 widest,
                 fmt::format("{} {}", row["formats"][0].get<std::string>(), row["formats"][1].get<std::string>()),
                 shown("max_error"), shown("relative_rmse"), shown("mse"), shown("cosine"), bytes_text(row));
    }
    for (const Json& row : result["not_compared"]) {
      const std::string name = row["name"].get<std::string>();
      if (row.contains("in")) {
        fmt::print("{}: only in {}\n", name, row["in"].get<std::string>());
      } else {
        fmt::print("{}: {} and {}\n", name, row["shapes"][0].get<std::string>(), row["shapes"][1].get<std::string>());
      }
    }
  }

 private:
  static std::string bytes_text(const Json& row) {
    if (!row.contains("same_bytes")) return "-";
    if (row["same_bytes"].get<bool>()) return "same";
    const Json& first = row["first_difference"];
    return fmt::format("differ from {} {}", first["part"].get<std::string>(), first["byte"].get<std::size_t>());
  }

  std::string first_, second_;
};

}  // namespace

std::unique_ptr<Command> make_compare() { return std::make_unique<Compare>(); }

}  // namespace nibble::cli
