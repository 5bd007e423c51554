#include "adapters/files/expert_stacks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

#include "adapters/files/file_error.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

constexpr std::array<std::string_view, 2> kModelTypes{"qwen2_moe", "qwen3_moe"};
constexpr std::string_view kOneByOne = ".mlp.experts.";
constexpr std::string_view kStacked = ".mlp.switch_mlp.";
constexpr std::array<std::string_view, 3> kProjections{"gate_proj.weight", "up_proj.weight", "down_proj.weight"};

bool is_projection(std::string_view name) { return std::ranges::find(kProjections, name) != kProjections.end(); }

std::string stack_name(std::string_view layer, std::string_view projection) {
  return fmt::format("{}{}{}", layer, kStacked, projection);
}

/// "model.layers.0", 7 and "gate_proj.weight" of "model.layers.0.mlp.experts.7.gate_proj.weight"; no number where the
/// tensor holds all experts.
struct ExpertPiece {
  std::string_view layer;
  std::optional<std::uint32_t> expert;
  std::string_view projection;
};
std::optional<ExpertPiece> parse_piece(std::string_view name) {
  const auto at = name.find(kOneByOne);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = name.substr(at + kOneByOne.size());
  if (rest == "gate_up_proj" || rest == "down_proj") return ExpertPiece{name.substr(0, at), {}, rest};
  std::uint32_t expert = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), expert);
  if (error != std::errc() || end == rest.data() + rest.size() || *end != '.') return {};
  const std::string_view projection = rest.substr(static_cast<std::size_t>(end - rest.data()) + 1);
  if (!is_projection(projection)) return {};
  return ExpertPiece{name.substr(0, at), expert, projection};
}

/// The order in which all of them store their inputs, if not that of the axis.
std::optional<Tensor> common_order(const std::vector<Components>& parts) {
  const auto order_of = [](const Components& part) {
    return part.back().first == kInputOrder ? part.back().second.to_vector<std::int32_t>()
                                            : std::vector<std::int32_t>();
  };
  const std::vector<std::int32_t> first = order_of(parts.front());
  for (const Components& part : parts) {
    if (order_of(part) != first)
      throw Error(ErrorCode::unsupported, "its experts have their inputs in different orders (desc_act)");
  }
  return first.empty() ? std::nullopt : std::optional(parts.front().back().second);
}

/// Packed tensors are stacked component by component: no weight is decoded.
Tensor stack_pieces(const std::vector<Tensor>& pieces, const TensorInfo& info) {
  if (!info.packed) return stack(pieces);
  std::vector<Components> parts;
  for (const Tensor& piece : pieces) parts.push_back(packing_of(piece).components);
  Components stacked;
  const FormatInfo format = packing_of(pieces.front()).format;
  for (std::size_t c = 0; c < format.components.size(); ++c) {
    std::vector<Tensor> components;
    for (const Components& part : parts) components.push_back(part[c].second);
    stacked.emplace_back(parts.front()[c].first, stack(components));
  }
  if (const std::optional<Tensor> order = common_order(parts)) stacked.emplace_back(kInputOrder, *order);
  return from_components(format.name, stacked, info.shape, info.dtype);
}

class StackedSource : public WeightSource {
 public:
  explicit StackedSource(std::unique_ptr<WeightSource> inner) : inner_(std::move(inner)) {
    files_ = inner_->files();
    std::map<std::string, std::map<std::uint32_t, std::size_t>> stacks;  // their pieces by expert
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) {
      const std::optional<ExpertPiece> piece = parse_piece(inner_->tensors()[i].name);
      if (!piece) {
        add(inner_->tensors()[i].name, {.pieces = {i}});
      } else if (piece->expert) {
        stacks[stack_name(piece->layer, piece->projection)].emplace(*piece->expert, i);
      } else {
        add_fused(*piece, i);
      }
    }
    for (const auto& [name, pieces] : stacks) add_stack(name, pieces);
    sort_by_name(recipes_);
    refuse_names_twice();
  }

  Tensor get(std::size_t i) const override {
    const Recipe& recipe = recipes_[i];
    const std::size_t first = recipe.pieces.front();
    if (recipe.half) {
      const std::int64_t rows = tensors_[i].shape[1];
      return slice(inner_->get(first), 1, *recipe.half * rows, (*recipe.half + 1) * rows);
    }
    if (!recipe.stacks) return inner_->get(first);
    const std::vector<Tensor> pieces = parts(i);
    Tensor stacked = stack_pieces(pieces, tensors_[i]);
    for (const Tensor& piece : pieces) forget(piece);  // has been copied
    return stacked;
  }

  std::vector<Tensor> parts(std::size_t i) const override {
    if (!recipes_[i].stacks) return {get(i)};
    std::vector<Tensor> experts;
    for (const std::size_t piece : recipes_[i].pieces) experts.push_back(inner_->get(piece));
    return experts;
  }

  std::vector<std::pair<std::string, Tensor>> stored(std::size_t i) const override {
    std::vector<std::pair<std::string, Tensor>> all;
    if (recipes_[i].half.value_or(0) != 0) return all;
    for (const std::size_t piece : recipes_[i].pieces) {
      for (auto& part : inner_->stored(piece)) all.push_back(std::move(part));
    }
    return all;
  }

  using WeightSource::forget;
  void forget(std::span<const std::byte> bytes) const override { inner_->forget(bytes); }

  std::size_t file_of(std::size_t i) const override { return inner_->file_of(recipes_[i].pieces.front()); }
  std::uint64_t place_of(std::size_t i) const override { return inner_->place_of(recipes_[i].pieces.front()); }

 private:
  /// How tensors()[i] is made of the inner source's.
  struct Recipe {
    std::vector<std::size_t> pieces = {};
    bool stacks = false;
    std::optional<std::int64_t> half = {};  // of the rows of gate_up_proj
  };

  const TensorInfo& inner(std::size_t piece) const { return inner_->tensors()[piece]; }
  [[noreturn]] void bad(std::size_t piece, std::string_view rule) const {
    bad_file(files_[inner_->file_of(piece)], inner(piece).name, rule);
  }

  void add(std::string name, Recipe recipe) {
    TensorInfo info = inner(recipe.pieces.front());
    info.name = std::move(name);
    tensors_.push_back(std::move(info));
    recipes_.push_back(std::move(recipe));
  }

  void add_fused(const ExpertPiece& piece, std::size_t i) {
    const Shape& shape = inner(i).shape;
    if (shape.rank() != 3) bad(i, fmt::format("{} is not (experts, out, in)", to_string(shape)));
    if (piece.projection == "down_proj") return add(stack_name(piece.layer, "down_proj.weight"), {.pieces = {i}});
    if (shape[1] % 2 != 0) bad(i, fmt::format("{} has no two halves", to_string(shape)));
    for (std::int64_t half = 0; half < 2; ++half) {
      add(stack_name(piece.layer, kProjections[static_cast<std::size_t>(half)]), {.pieces = {i}, .half = half});
      TensorInfo& info = tensors_.back();
      info.shape[1] /= 2;
      info.bytes /= 2;
    }
  }

  void add_stack(const std::string& name, const std::map<std::uint32_t, std::size_t>& pieces) {
    const std::size_t first = pieces.begin()->second;
    const TensorInfo like = inner(first);
    Recipe recipe{.stacks = true};
    std::uint64_t bytes = 0;
    bool reordered = false;
    for (const auto& [expert, i] : pieces) {
      if (expert != recipe.pieces.size())
        bad_file(files_[inner_->file_of(i)], expert_name(name, static_cast<std::int64_t>(recipe.pieces.size())),
                 "is missing");
      const TensorInfo& piece = inner(i);
      if (!(piece.shape == like.shape) || piece.format != like.format || piece.dtype != like.dtype) {
        bad(i, fmt::format("is {} {}, unlike expert 0, which is {} {}", piece.format, to_string(piece.shape),
                           like.format, to_string(like.shape)));
      }
      recipe.pieces.push_back(i);
      bytes += piece.bytes;
      reordered = reordered || piece.reordered;
    }
    Shape shape{static_cast<std::int64_t>(pieces.size())};
    for (const std::int64_t size : like.shape) shape.push_back(size);
    add(name, std::move(recipe));
    tensors_.back().shape = shape;
    tensors_.back().bytes = bytes;
    tensors_.back().reordered = reordered;
  }

  void refuse_names_twice() const {
    const auto twice = std::ranges::adjacent_find(tensors_, {}, &TensorInfo::name);
    if (twice == tensors_.end()) return;
    const Recipe& first = recipes_[static_cast<std::size_t>(twice - tensors_.begin())];
    bad(first.pieces.front(), fmt::format("is one of two {}", twice->name));
  }

  std::unique_ptr<WeightSource> inner_;
  std::vector<Recipe> recipes_;
};

}  // namespace

bool has_expert_stacks(std::string_view model_type) {
  return std::ranges::find(kModelTypes, model_type) != kModelTypes.end();
}

std::unique_ptr<WeightSource> stack_experts(std::unique_ptr<WeightSource> source) {
  return std::make_unique<StackedSource>(std::move(source));
}

bool is_expert_stack(std::string_view name) {
  const auto at = name.find(kStacked);
  return at != std::string_view::npos && is_projection(name.substr(at + kStacked.size()));
}

std::string expert_name(std::string_view stack, std::int64_t expert) {
  const auto at = stack.find(kStacked);
  return fmt::format("{}{}{}.{}", stack.substr(0, at), kOneByOne, expert, stack.substr(at + kStacked.size()));
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
