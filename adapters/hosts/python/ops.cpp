// The Python functions of the plain ops, one for each row of the table whose arguments are plain; the few that take a
// structure have its fields as keywords.

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <type_traits>
#include <utility>

#include "adapters/hosts/op_table.h"
#include "adapters/hosts/python/bindings.h"
#include "adapters/hosts/python/casters.h"
#include "adapters/hosts/python/op_docs.h"

namespace nb = nanobind;
using namespace nanobind::literals;

namespace nibble {
namespace hosts {
namespace {

using Released = nb::call_guard<nb::gil_scoped_release>;

/// Structures whose fields are keywords in Python.
template <class T>
inline constexpr bool kIsStructure =
    std::is_same_v<T, RopeScaling> || std::is_same_v<T, RopeFrequencies> || std::is_same_v<T, AttentionOptions> ||
    std::is_same_v<T, AffineParams> || std::is_same_v<T, QuantizeParams> || std::is_same_v<T, TopK>;

nb::object to_python(const Default& value) {
  return std::visit(
      [](auto v) -> nb::object {
        if constexpr (std::is_same_v<decltype(v), std::monostate> || std::is_same_v<decltype(v), Absent>) {
          return nb::none();
        } else {
          return nb::cast(v);
        }
      },
      value);
}

template <std::size_t Row, std::size_t At>
auto argument() {
  constexpr const Argument& row = std::get<Row>(kOps).arguments[At];
  if constexpr (row.is_required()) {
    return nb::arg(row.name);
  } else if constexpr (std::holds_alternative<Absent>(row.value)) {
    return nb::arg(row.name).none() = nb::none();
  } else {
    return nb::arg(row.name) = to_python(row.value);
  }
}

template <std::size_t Row, class Result, class... Args, std::size_t... I>
void bind(nb::module_& m, Result (*function)(Args...), std::index_sequence<I...>) {
  if constexpr (!(kIsStructure<std::remove_cvref_t<Args>> || ... || kIsStructure<Result>)) {
    constexpr const docs::Row& said = docs::row_of(std::get<Row>(kOps).name);
    m.def(std::get<Row>(kOps).name, function, argument<Row, I>()..., Released(), docs::text_of(said).c_str());
  }
}

template <std::size_t... Row>
void bind_rows(nb::module_& m, std::index_sequence<Row...>) {
  (bind<Row>(m, std::get<Row>(kOps).function,
             std::make_index_sequence<std::tuple_size_v<decltype(std::get<Row>(kOps).arguments)>>()),
   ...);
}

RopeFrequencies frequencies(const Tensor& inverse, float scale) { return {inverse, scale}; }

}  // namespace

void bind_ops(nb::module_& m) {
  bind_rows(m, std::make_index_sequence<kOpCount>());

  m.def(
      "topk",
      [](const Tensor& x, std::int64_t k, int axis) {
        TopK result = topk(x, k, axis);
        return std::make_tuple(std::move(result.values), std::move(result.indices));
      },
      "x"_a, "k"_a, "axis"_a = -1, Released(), docs::text_of(docs::row_of("topk")).c_str());
  m.def(
      "rope_frequencies",
      [](std::int64_t dims, double theta) {
        const RopeFrequencies result = rope_frequencies(dims, theta);
        return std::make_tuple(result.inverse, result.scale);
      },
      "dims"_a, "theta"_a, Released(), docs::text_of(docs::row_of("rope_frequencies")).c_str());
  m.def(
      "rope",
      [](const Tensor& x, const Position& positions, const Tensor& inverse, float scale, bool interleaved) {
        return rope(x, positions, frequencies(inverse, scale), interleaved);
      },
      "x"_a, "positions"_a, "inverse"_a, "scale"_a = 1.0f, "interleaved"_a = false, Released(),
      docs::text_of(docs::row_of("rope")).c_str());
  m.def(
      "scaled_dot_product_attention",
      [](const Tensor& q, const Tensor& k, const Tensor& v, std::optional<double> scale, bool causal,
         std::optional<Tensor> mask, std::optional<Position> key_length) {
        return scaled_dot_product_attention(q, k, v, {scale, causal, mask.value_or(Tensor()), key_length});
      },
      "q"_a, "k"_a, "v"_a, nb::kw_only(), "scale"_a = nb::none(), "causal"_a = false, "mask"_a = nb::none(),
      "key_length"_a = nb::none(), Released(), docs::text_of(docs::row_of("scaled_dot_product_attention")).c_str());
}

}  // namespace hosts
}  // namespace nibble
