#pragma once

#include <string>
#include <string_view>

/// What help() says of the plain ops: a sentence each, and what those of a kind have in common, once. An op without a
/// row does not compile.
namespace nibble {
namespace hosts {
namespace docs {

inline constexpr std::string_view kBinary =
    "a and b are tensors or one of them a number, which takes the tensor's dtype; shapes broadcast. A packed operand "
    "is "
    "decoded, which stats() counts.\n\n"
    "Raises ArgumentError for shapes that do not broadcast, DTypeError for dtypes that are for storage only (float64, "
    "int16, uint16, uint64, float8), ForbiddenError for a packed operand under fallback=\"error\".";
inline constexpr std::string_view kUnary =
    "Element by element, in x's shape. A packed x is decoded, which stats() counts.\n\n"
    "Raises DTypeError for dtypes that are for storage only, ForbiddenError for a packed x under fallback=\"error\".";
inline constexpr std::string_view kReduction =
    "Over `axes`, which vanish unless keepdims; none given: over all. A packed x is decoded, which stats() counts.\n\n"
    "Raises ArgumentError for an axis that x does not have or that comes twice, DTypeError for dtypes that are for "
    "storage only.";
inline constexpr std::string_view kAlong =
    "Along one axis, counted from the end where negative. A packed x is decoded, which stats() counts.\n\n"
    "Raises ArgumentError for an axis that x does not have, DTypeError for dtypes that are for storage only.";
inline constexpr std::string_view kView =
    "A view where strides allow it, of a packed x too.\n\n"
    "Raises ArgumentError for axes and sizes that x does not have.";
inline constexpr std::string_view kMade = "Raises ArgumentError for a negative size.";

struct Row {
  std::string_view name, text, shared;
};

inline constexpr Row kRows[] = {
    {"zeros", "Zeros of a shape and dtype.", kMade},
    {"ones", "Ones of a shape and dtype.", kMade},
    {"full", "One number in every element.", kMade},
    {"empty", "Memory that nobody has written to, to be filled by update_slice.", kMade},
    {"empty_packed",
     "Rows to be filled by update_slice, stored as a dtype's name or a packed format's (\"q8_0\") says.",
     "Raises ArgumentError where a group does not divide the last axis, UnsupportedError for a format without an "
     "encoder."},
    {"arange", "start, start + step, ... below stop: (ceil((stop - start) / step),).",
     "Raises ArgumentError for a step of 0."},
    {"random_uniform", "Uniform in [low, high): the same seed gives the same numbers on every device.", kMade},
    {"random_normal", "Normal by mean and standard deviation: the same seed gives the same numbers on every device.",
     kMade},

    {"add", "a + b, in the dtype that both promote to.", kBinary},
    {"subtract", "a - b, in the dtype that both promote to.", kBinary},
    {"multiply", "a · b, in the dtype that both promote to.", kBinary},
    {"divide", "a / b; integers give float32.", kBinary},
    {"floor_divide", "The largest whole number not above a / b, in the dtype that both promote to.", kBinary},
    {"remainder", "a - floor(a / b) · b: has the sign of b, as Python's %.", kBinary},
    {"power", "a to the power of b, in the dtype that both promote to.", kBinary},
    {"minimum", "The smaller of a and b; NaN where either is.", kBinary},
    {"maximum", "The larger of a and b; NaN where either is.", kBinary},
    {"equal", "Whether a == b, as bool.", kBinary},
    {"not_equal", "Whether a != b, as bool.", kBinary},
    {"less", "Whether a < b, as bool.", kBinary},
    {"less_equal", "Whether a <= b, as bool.", kBinary},
    {"greater", "Whether a > b, as bool.", kBinary},
    {"greater_equal", "Whether a >= b, as bool.", kBinary},
    {"logical_and", "Whether neither a nor b is zero, as bool.", kBinary},
    {"logical_or", "Whether a or b is not zero, as bool.", kBinary},

    {"negative", "-x, in x's dtype.", kUnary},
    {"abs", "x without its sign, in x's dtype.", kUnary},
    {"sign", "-1, 0 or 1, in x's dtype.", kUnary},
    {"square", "x · x, in x's dtype.", kUnary},
    {"sqrt", "The square root; integers give float32.", kUnary},
    {"rsqrt", "1 / sqrt(x); integers give float32.", kUnary},
    {"reciprocal", "1 / x; integers give float32.", kUnary},
    {"exp", "e to the power of x; integers give float32.", kUnary},
    {"log", "The natural logarithm; integers give float32.", kUnary},
    {"sin", "The sine of x radians; integers give float32.", kUnary},
    {"cos", "The cosine of x radians; integers give float32.", kUnary},
    {"tanh", "The hyperbolic tangent; integers give float32.", kUnary},
    {"erf", "The error function; integers give float32.", kUnary},
    {"floor", "The largest whole number not above x, in x's dtype.", kUnary},
    {"ceil", "The smallest whole number not below x, in x's dtype.", kUnary},
    {"round", "The nearest whole number, of two the even one, in x's dtype.", kUnary},
    {"logical_not", "Whether x is zero, as bool.", kUnary},
    {"isnan", "Whether x is not a number, as bool.", kUnary},
    {"isinf", "Whether x is infinite, as bool.", kUnary},
    {"isfinite", "Whether x is neither infinite nor NaN, as bool.", kUnary},
    {"sigmoid", "1 / (1 + exp(-x)); integers give float32.", kUnary},
    {"relu", "max(x, 0), in x's dtype.", kUnary},
    {"silu", "x · sigmoid(x); integers give float32.", kUnary},
    {"gelu", "x · Φ(x) by erf (Hendrycks and Gimpel, 2016); integers give float32.", kUnary},
    {"gelu_tanh", "x · Φ(x), approximated by tanh; integers give float32.", kUnary},
    {"where", "a where condition is true, else b; all three broadcast, a or b may be a number.",
     "Raises DTypeError for a condition that is not bool, ArgumentError for shapes that do not broadcast."},
    {"cast", "x in another dtype: to nearest even; a float becomes an integer by truncation.", kUnary},

    {"sum", "The sum, added up in float32 or exactly; bool gives int32.", kReduction},
    {"mean", "The mean; integers give float32.", kReduction},
    {"max", "The largest element, in x's dtype.", kReduction},
    {"min", "The smallest element, in x's dtype.", kReduction},
    {"var", "The mean squared deviation, divided by n - correction; integers give float32.", kReduction},
    {"logsumexp", "log(sum(exp(x))), without overflow; integers give float32.", kReduction},
    {"argmax", "The first index of the largest element, as int32.", kAlong},
    {"argmin", "The first index of the smallest element, as int32.", kAlong},
    {"softmax", "exp(x - max) / sum, computed in float32; a row of -inf alone gives zeros; integers give float32.",
     kAlong},
    {"log_softmax", "The logarithm of softmax(x), without overflow; integers give float32.", kAlong},

    {"sort", "In order, equal elements as they stood, NaN last; in x's dtype.", kAlong},
    {"argsort", "The indices that sort x, as int32.", kAlong},
    {"topk", "(values, indices) of the k largest, largest first; indices are int32.", kAlong},

    {"reshape", "The elements in row-major order under another shape, of which one size may be -1.", kView},
    {"transpose", "The axes in another order; none given: reversed.", kView},
    {"swapaxes", "Two axes exchanged.", kView},
    {"expand_dims", "A new axis of size 1 before `axis`.", kView},
    {"squeeze", "Without the named axes, which have size 1; none given: without all of those.", kView},
    {"broadcast_to", "Axes of size 1, and leading ones, repeated up to a shape.", kView},
    {"concatenate", "One behind the other along an axis, in the dtype that all promote to.", kAlong},
    {"stack", "One behind the other along a new axis, in the dtype that all promote to.", kAlong},
    {"split", "`sections` equal parts of an axis.", kView},
    {"slice", "[start, stop) of an axis, negative from its end, clamped as Python's slices are.", kView},
    {"select", "One entry of an axis, which vanishes.", "Raises OutOfRangeError for an entry that is not there."},
    {"contiguous", "The same values in row-major order; x itself where they are. A packed x is decoded.", kUnary},
    {"flip", "Axes read backwards; none given: all.", kView},
    {"pad", "before[i] and after[i] elements of `value` around axis i.", kAlong},
    {"repeat", "Every entry of the axis `repeats` times in a row.", kAlong},
    {"tril", "The last two axes' lower triangle, up to the k-th diagonal; zeros above.", kUnary},
    {"triu", "The last two axes' upper triangle, from the k-th diagonal on; zeros below.", kUnary},

    {"take",
     "Entries of an axis by int32, int64 or uint32 indices, whose axes replace it. Of a packed x only those are "
     "decoded.",
     "Raises OutOfRangeError for an index outside the axis; negative ones count from its end."},
    {"take_along_axis", "out[.., j, ..] = x[.., indices[.., j, ..], ..]; the other axes broadcast.",
     "Raises OutOfRangeError for an index outside the axis; negative ones count from its end."},
    {"update_slice",
     "x with `rows` written over x[.., start : start + n, ..] of an axis; start is a number or int32, () or (B,). In "
     "place "
     "where nobody else holds x's storage, else in a copy, which stats() counts.",
     "Raises OutOfRangeError for rows that leave the axis, ForbiddenError for a copy under fallback=\"error\"."},

    {"matmul",
     "a (.., M, K) · b (.., K, N) -> (.., M, N), float32, float16 or bfloat16; batch axes broadcast. Either may be "
     "packed, "
     "along any axis; sums are float32, options(precision=) says how exact.",
     "Raises ArgumentError for sizes that differ, DTypeError for integers."},
    {"dot", "a's last axis with b's last but one, as numpy.dot. Either may be packed.",
     "Raises ArgumentError for sizes that differ, DTypeError for integers."},
    {"dot_general",
     "a's axes_a with b's axes_b, pair by pair, as are batch_a with batch_b: batch axes, a's free axes, b's free axes.",
     "Raises ArgumentError for axes and sizes that do not fit, DTypeError for integers."},
    {"einsum",
     "Einstein's summation, \"bhqd,bhkd->bhqk\"; \"...\" are batch axes that broadcast. Operands may be packed.",
     "Raises ArgumentError for subscripts that the shapes do not fit, DTypeError for integers."},
    {"gather_matmul",
     "y[i] = x[i] · w[indices[i]]: x (.., M, K), w (E, K, N), a view of packed experts for instance, integer indices "
     "that "
     "broadcast against x's batch axes -> (.., M, N). Each expert is read once.",
     "Raises ArgumentError for sizes that differ, OutOfRangeError for an expert that is not there."},

    {"rms_norm", "x / sqrt(mean(x²) + eps) · weight over the last axis (Zhang and Sennrich, 2019), in float32.",
     "Raises ArgumentError where weight has not one entry for each of x's last axis."},
    {"layer_norm", "(x - mean) / sqrt(var + eps) · weight + bias over the last axis (Ba et al., 2016), in float32.",
     "Raises ArgumentError where weight or bias has not one entry for each of x's last axis."},
    {"rope_frequencies", "(inverse, scale) for rope: (dims / 2,) float32, the angle per position of each pair, and 1.",
     "Raises ArgumentError for dims that are odd, or a theta that is not positive."},
    {"rope",
     "Rotary position embedding (Su et al., 2021) of x (.., T, D): the first 2 · |inverse| of D are rotated. "
     "`positions` is "
     "where the first token stands, a number or int32 (B,), or int32 (B, T) for each. interleaved pairs 2i with 2i + "
     "1, "
     "else i with i + |inverse|.",
     "Raises ArgumentError for shapes that do not fit."},
    {"scaled_dot_product_attention",
     "softmax(q kᵀ · scale + mask) v: q (B, H, Tq, D), k (B, Hk, Tk, D), v (B, Hk, Tk, Dv) -> (B, H, Tq, Dv), H a "
     "multiple "
     "of Hk. scale: 1 / sqrt(D) unless given. causal: a query sees all keys before it, the last query the last key. "
     "mask: "
     "bool (true: seen) or added, broadcast to (B, H, Tq, Tk). key_length: how many keys count, a number or int32 "
     "(B,).",
     "Raises ArgumentError for shapes that do not fit, DTypeError for integers."},

    {"from_quantized", "A packed tensor over MLX's codes, scales and biases.",
     "Raises ArgumentError for shapes that do not fit."},
    {"quantize", "w packed along its last axis.", "Raises ArgumentError where a group does not divide the axis."},
    {"dequantize", "The values of a packed tensor, rounded once.",
     "Raises DTypeError for a dtype that is not a float."},
    {"reexpress",
     "The same numbers in another format without any loss: q4_0 as affine4-g32, for instance, and affine4-g32 with "
     "float16 "
     "scales as q4_1.",
     "Raises UnsupportedError where numbers would change."},
};

constexpr const Row& row_of(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row;
  }
  throw "an operation without a word about it";
}

inline std::string text_of(const Row& row) { return std::string(row.text) + "\n\n" + std::string(row.shared); }

}  // namespace docs
}  // namespace hosts
}  // namespace nibble
