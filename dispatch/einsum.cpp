#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "dispatch/fallback.h"
#include "nibble/error.h"
#include "nibble/ops.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace {

/// An operand and the label of each of its axes. Letters are the caller's; the axes of an ellipsis are labelled '0',
/// '1', …, counted from the last.
struct Term {
  Tensor tensor;
  std::string labels;
};

[[noreturn]] void fail(std::string_view subscripts, const std::string& rule) {
  throw Error(ErrorCode::invalid_argument, fmt::format("[einsum] \"{}\": {}", subscripts, rule));
}

std::string ellipsis_labels(int count) {
  std::string labels;
  for (int i = count - 1; i >= 0; --i) labels.push_back(static_cast<char>('0' + i));
  return labels;
}

/// The labels of one comma-separated part, its ellipsis replaced by `axes` labels.
std::string expand(std::string_view subscripts, std::string_view part, int axes) {
  std::string labels;
  bool seen = false;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == ' ') continue;
    if (part.substr(i).starts_with("...")) {
      if (seen) fail(subscripts, "two ellipses in one term");
      seen = true;
      labels += ellipsis_labels(axes);
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(part[i]))) {
      labels.push_back(part[i]);
    } else {
      fail(subscripts, fmt::format("'{}' is no label", part[i]));
    }
  }
  return labels;
}

std::vector<std::string_view> split_terms(std::string_view inputs) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t comma = inputs.find(',');
    parts.push_back(inputs.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    inputs.remove_prefix(comma + 1);
  }
}

int letters(std::string_view part) {
  return static_cast<int>(std::count_if(part.begin(), part.end(), [](unsigned char c) { return std::isalpha(c); }));
}

/// "ii": the diagonal, as a view whose stride is the sum of both axes'.
Term take_diagonals(std::string_view subscripts, Term term) {
  for (std::size_t i = 0; i < term.labels.size(); ++i) {
    for (std::size_t j = term.labels.size() - 1; j > i; --j) {
      if (term.labels[i] != term.labels[j]) continue;
      const Tensor t = detail::dense_operand("einsum", term.tensor);
      const int a = static_cast<int>(i), b = static_cast<int>(j);
      if (t.size(a) != t.size(b)) {
        fail(subscripts, fmt::format("label '{}' names axes of {} and {}", term.labels[i], t.size(a), t.size(b)));
      }
      Shape shape = t.shape();
      Strides strides = t.impl().strides;
      strides[a] += strides[b];
      shape.erase(b);
      strides.erase(b);
      term = {detail::make_view(t, shape, strides, t.impl().offset),
              term.labels.substr(0, j) + term.labels.substr(j + 1)};
    }
  }
  return term;
}

/// Sums over the axes that neither the result nor another term needs.
Term sum_unneeded(Term term, std::string_view needed) {
  Axes axes;
  std::string labels;
  for (std::size_t i = 0; i < term.labels.size(); ++i) {
    if (needed.find(term.labels[i]) == std::string_view::npos) {
      axes.push_back(static_cast<std::int64_t>(i));
    } else {
      labels.push_back(term.labels[i]);
    }
  }
  return axes.empty() ? term : Term{sum(term.tensor, axes), labels};
}

/// Broadcasts the size-1 axes of `term` that `other` has longer.
Term stretched(std::string_view subscripts, const Term& term, const Term& other) {
  Shape shape = term.tensor.shape();
  for (std::size_t i = 0; i < term.labels.size(); ++i) {
    const std::size_t j = other.labels.find(term.labels[i]);
    if (j == std::string::npos) continue;
    const std::int64_t size = other.tensor.shape()[static_cast<int>(j)];
    std::int64_t& own = shape[static_cast<int>(i)];
    if (own != size && own != 1 && size != 1) {
      fail(subscripts, fmt::format("label '{}' names sizes {} and {}", term.labels[i], own, size));
    }
    own = own == 1 ? size : own;
  }
  return {shape == term.tensor.shape() ? term.tensor : broadcast_to(term.tensor, shape), term.labels};
}

/// The product of two terms: labels of both that are still needed are batch axes, those that are not are contracted.
Term multiply_terms(std::string_view subscripts, const Term& left, const Term& right, std::string_view needed) {
  const Term a = stretched(subscripts, sum_unneeded(left, std::string(needed) + right.labels), right);
  const Term b = stretched(subscripts, sum_unneeded(right, std::string(needed) + left.labels), a);
  Axes batch_a, batch_b, axes_a, axes_b;
  std::string batch, free_a, free_b;
  for (std::size_t i = 0; i < a.labels.size(); ++i) {
    const std::size_t j = b.labels.find(a.labels[i]);
    if (j == std::string::npos) {
      free_a.push_back(a.labels[i]);
      continue;
    }
    const bool is_batch = needed.find(a.labels[i]) != std::string_view::npos;
    (is_batch ? batch_a : axes_a).push_back(static_cast<std::int64_t>(i));
    (is_batch ? batch_b : axes_b).push_back(static_cast<std::int64_t>(j));
    if (is_batch) batch.push_back(a.labels[i]);
  }
  for (const char label : b.labels) {
    if (a.labels.find(label) == std::string::npos) free_b.push_back(label);
  }
  return {dot(a.tensor, axes_a, batch_a, b.tensor, axes_b, batch_b), batch + free_a + free_b};
}

/// Without "->" the result has the ellipsis and, in alphabetical order, every letter that occurs once.
std::string implicit_output(const std::vector<Term>& terms, int ellipsis) {
  std::string all, once;
  for (const Term& term : terms) all += term.labels;
  std::sort(all.begin(), all.end());
  for (const char label : all) {
    if (std::isalpha(static_cast<unsigned char>(label)) && std::count(all.begin(), all.end(), label) == 1)
      once += label;
  }
  return ellipsis_labels(ellipsis) + once;
}

}  // namespace

Tensor einsum(std::string_view subscripts, std::span<const Tensor> operands) {
  const std::size_t arrow = subscripts.find("->");
  const std::vector<std::string_view> parts = split_terms(subscripts.substr(0, arrow));
  if (parts.size() != operands.size()) {
    fail(subscripts, fmt::format("{} terms for {} operands", parts.size(), operands.size()));
  }
  int ellipsis = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const int rest = operands[i].ndim() - letters(parts[i]);
    const bool has_ellipsis = parts[i].find("...") != std::string_view::npos;
    if (rest < 0 || (rest > 0 && !has_ellipsis)) {
      fail(subscripts, fmt::format("term {} names {} axes of {}", i, letters(parts[i]), describe(operands[i])));
    }
    ellipsis = std::max(ellipsis, rest);
  }
  std::vector<Term> terms;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    terms.push_back({operands[i], expand(subscripts, parts[i], operands[i].ndim() - letters(parts[i]))});
  }
  const std::string output = arrow == std::string_view::npos
                                 ? implicit_output(terms, ellipsis)
                                 : expand(subscripts, subscripts.substr(arrow + 2), ellipsis);
  for (Term& term : terms) term = take_diagonals(subscripts, std::move(term));
  Term result = terms.front();
  for (std::size_t i = 1; i < terms.size(); ++i) {
    std::string needed = output;
    for (std::size_t j = i + 1; j < terms.size(); ++j) needed += terms[j].labels;
    result = multiply_terms(subscripts, result, terms[i], needed);
  }
  result = sum_unneeded(result, output);
  Axes order;
  for (const char label : output) {
    const std::size_t at = result.labels.find(label);
    if (at == std::string::npos) fail(subscripts, fmt::format("'{}' of the result is in no term", label));
    if (std::count(output.begin(), output.end(), label) > 1)
      fail(subscripts, fmt::format("'{}' twice in the result", label));
    order.push_back(static_cast<std::int64_t>(at));
  }
  return order.empty() ? result.tensor : transpose(result.tensor, order);
}

}  // namespace v0
}  // namespace nibble
