#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "nibble/options.h"
#include "nibble/quantization.h"
#include "nibble/tensor.h"

/// Plain operations, with NumPy's names and broadcasting; what each is called in the array API standard (2024.12),
/// whose namespace Python has, says the table of adapters/hosts/c/README.md. Any operand may be packed: where there is
/// no packed kernel the values are decoded first, which stats() counts and Fallback::error forbids. Negative axes count
/// from the end. All throw nibble::Error with a text that names the operation, the operands and the rule.
namespace nibble {
inline namespace v0 {

/// A number of C++, weakly typed: in an operation with a tensor it takes the tensor's dtype
/// (a fraction with an integer tensor gives f32).
class Scalar {
 public:
  constexpr Scalar(bool v) : i_(v), d_(v), kind_(Kind::boolean) {}
  constexpr Scalar(int v) : i_(v), d_(v), kind_(Kind::integer) {}
  constexpr Scalar(std::int64_t v) : i_(v), d_(static_cast<double>(v)), kind_(Kind::integer) {}
  constexpr Scalar(float v) : Scalar(static_cast<double>(v)) {}
  constexpr Scalar(double v) : i_(0), d_(v), kind_(Kind::floating) {}
  enum class Kind : std::uint8_t { boolean, integer, floating };
  constexpr Kind kind() const { return kind_; }
  constexpr double as_double() const { return d_; }
  /// The integer; for a floating scalar its truncation.
  constexpr std::int64_t as_int() const { return kind_ == Kind::floating ? static_cast<std::int64_t>(d_) : i_; }

 private:
  std::int64_t i_;
  double d_;
  Kind kind_;
};

template <class T>
concept Number = std::is_arithmetic_v<T>;

/// An operand of an elementwise operation: a tensor or a number.
class Operand {
 public:
  Operand(const Tensor& t) : tensor_(&t), scalar_(0) {}
  template <Number T>
  Operand(T v) : scalar_(scalar_of(v)) {}
  bool is_tensor() const { return tensor_ != nullptr; }
  const Tensor& tensor() const { return *tensor_; }
  Scalar scalar() const { return scalar_; }

 private:
  /// Integers of any width, unsigned ones modulo 2^64.
  template <Number T>
  static Scalar scalar_of(T v) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      return static_cast<std::int64_t>(v);
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<double>(v);
    } else {
      return v;
    }
  }
  const Tensor* tensor_ = nullptr;
  Scalar scalar_;
};

// ---- creation ------------------------------------------------------------------------------------------------------

NIBBLE_API Tensor zeros(const Shape& shape, DType dtype = DType::f32);
NIBBLE_API Tensor ones(const Shape& shape, DType dtype = DType::f32);
NIBBLE_API Tensor full(const Shape& shape, Scalar value, DType dtype = DType::f32);
/// Uninitialised memory, to be filled by update_slice.
NIBBLE_API Tensor empty(const Shape& shape, DType dtype = DType::f32);
/// The same, stored as a dtype's name says, or packed along the last axis ("q8_0"): update_slice then packs the rows
/// that it writes. Throws Error(shape_mismatch) where a group does not divide the axis, Error(unsupported) for a format
/// without an encoder.
NIBBLE_API Tensor empty(const Shape& shape, std::string_view storage);
/// start, start + step, … below stop: (⌈(stop − start)/step⌉,).
NIBBLE_API Tensor arange(Scalar start, Scalar stop, Scalar step = 1, DType dtype = DType::i32);
/// Uniform in [low, high), by the counter-based Philox4x32-10 (Salmon et al., SC 2011): the same seed gives the same
/// numbers on any device and with any number of threads (normal ones to within a few units of the last place).
NIBBLE_API Tensor random_uniform(const Shape& shape, std::uint64_t seed, double low = 0, double high = 1,
                                 DType dtype = DType::f32);
/// Normal, by Box and Muller's transform of the same stream.
NIBBLE_API Tensor random_normal(const Shape& shape, std::uint64_t seed, double mean = 0, double stddev = 1,
                                DType dtype = DType::f32);

// ---- elementwise ---------------------------------------------------------------------------------------------------

NIBBLE_API Tensor add(const Operand& a, const Operand& b);
NIBBLE_API Tensor subtract(const Operand& a, const Operand& b);
NIBBLE_API Tensor multiply(const Operand& a, const Operand& b);
/// True division: integers give f32.
NIBBLE_API Tensor divide(const Operand& a, const Operand& b);
NIBBLE_API Tensor floor_divide(const Operand& a, const Operand& b);
/// Sign of the divisor, as Python's %.
NIBBLE_API Tensor remainder(const Operand& a, const Operand& b);
NIBBLE_API Tensor power(const Operand& a, const Operand& b);
NIBBLE_API Tensor minimum(const Operand& a, const Operand& b);
NIBBLE_API Tensor maximum(const Operand& a, const Operand& b);
NIBBLE_API Tensor equal(const Operand& a, const Operand& b);
NIBBLE_API Tensor not_equal(const Operand& a, const Operand& b);
NIBBLE_API Tensor less(const Operand& a, const Operand& b);
NIBBLE_API Tensor less_equal(const Operand& a, const Operand& b);
NIBBLE_API Tensor greater(const Operand& a, const Operand& b);
NIBBLE_API Tensor greater_equal(const Operand& a, const Operand& b);
NIBBLE_API Tensor logical_and(const Operand& a, const Operand& b);
NIBBLE_API Tensor logical_or(const Operand& a, const Operand& b);

NIBBLE_API Tensor negative(const Tensor& x);
NIBBLE_API Tensor abs(const Tensor& x);
NIBBLE_API Tensor sign(const Tensor& x);
NIBBLE_API Tensor square(const Tensor& x);
NIBBLE_API Tensor sqrt(const Tensor& x);
NIBBLE_API Tensor rsqrt(const Tensor& x);
NIBBLE_API Tensor reciprocal(const Tensor& x);
NIBBLE_API Tensor exp(const Tensor& x);
NIBBLE_API Tensor log(const Tensor& x);
NIBBLE_API Tensor sin(const Tensor& x);
NIBBLE_API Tensor cos(const Tensor& x);
NIBBLE_API Tensor tanh(const Tensor& x);
NIBBLE_API Tensor erf(const Tensor& x);
NIBBLE_API Tensor floor(const Tensor& x);
NIBBLE_API Tensor ceil(const Tensor& x);
NIBBLE_API Tensor round(const Tensor& x);  ///< half to even
NIBBLE_API Tensor logical_not(const Tensor& x);
NIBBLE_API Tensor isnan(const Tensor& x);
NIBBLE_API Tensor isinf(const Tensor& x);
NIBBLE_API Tensor isfinite(const Tensor& x);
NIBBLE_API Tensor sigmoid(const Tensor& x);
NIBBLE_API Tensor relu(const Tensor& x);
/// x · sigmoid(x).
NIBBLE_API Tensor silu(const Tensor& x);
/// x · Φ(x) by erf (Hendrycks and Gimpel, 2016).
NIBBLE_API Tensor gelu(const Tensor& x);
/// Its approximation by tanh.
NIBBLE_API Tensor gelu_tanh(const Tensor& x);

/// a where condition (boolean) is true, else b; all three broadcast, a and b are promoted.
NIBBLE_API Tensor where(const Tensor& condition, const Operand& a, const Operand& b);
/// Rounds to nearest even; a float to an integer truncates.
NIBBLE_API Tensor cast(const Tensor& x, DType dtype);

inline Tensor operator+(const Tensor& a, const Operand& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Operand& b) { return subtract(a, b); }
inline Tensor operator*(const Tensor& a, const Operand& b) { return multiply(a, b); }
inline Tensor operator/(const Tensor& a, const Operand& b) { return divide(a, b); }
inline Tensor operator-(const Tensor& a) { return negative(a); }
template <Number T>
Tensor operator+(T a, const Tensor& b) {
  return add(a, b);
}
template <Number T>
Tensor operator-(T a, const Tensor& b) {
  return subtract(a, b);
}
template <Number T>
Tensor operator*(T a, const Tensor& b) {
  return multiply(a, b);
}
template <Number T>
Tensor operator/(T a, const Tensor& b) {
  return divide(a, b);
}

// ---- reductions: over `axes` (none named: all), which vanish unless keepdims ---------------------------------------

/// In x's dtype; of bool and integers of 8 bits in i32.
NIBBLE_API Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
NIBBLE_API Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
NIBBLE_API Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
NIBBLE_API Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// Mean squared deviation, divided by n − correction.
NIBBLE_API Tensor var(const Tensor& x, const Axes& axes = {}, bool keepdims = false, double correction = 0);
NIBBLE_API Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// The first index of the largest element along one axis, as i32.
NIBBLE_API Tensor argmax(const Tensor& x, int axis = -1, bool keepdims = false);
NIBBLE_API Tensor argmin(const Tensor& x, int axis = -1, bool keepdims = false);
/// exp(x − max) / sum, in f32. A row of −inf alone gives zeros.
NIBBLE_API Tensor softmax(const Tensor& x, int axis = -1);
NIBBLE_API Tensor log_softmax(const Tensor& x, int axis = -1);

// ---- sorting: stable, NaN last -------------------------------------------------------------------------------------

NIBBLE_API Tensor sort(const Tensor& x, int axis = -1, bool descending = false);
/// As i32.
NIBBLE_API Tensor argsort(const Tensor& x, int axis = -1, bool descending = false);
struct TopK {
  Tensor values;
  Tensor indices;  ///< i32
};
/// The k largest along the axis, largest first.
NIBBLE_API TopK topk(const Tensor& x, std::int64_t k, int axis = -1);

// ---- shape: views without a copy wherever the layout allows it -----------------------------------------------------

/// One size may be −1. A view of a contiguous tensor, else a copy.
NIBBLE_API Tensor reshape(const Tensor& x, const Shape& shape);
/// Without axes reverses them all. A view always, also of a packed tensor.
NIBBLE_API Tensor transpose(const Tensor& x, const Axes& axes = {});
NIBBLE_API Tensor swapaxes(const Tensor& x, int a, int b);
NIBBLE_API Tensor expand_dims(const Tensor& x, int axis);
/// The named axes of size 1; none named: all of them.
NIBBLE_API Tensor squeeze(const Tensor& x, const Axes& axes = {});
NIBBLE_API Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// Tensors whose other axes are alike, promoted to one dtype.
NIBBLE_API Tensor concatenate(std::span<const Tensor> tensors, int axis = 0);
/// Tensors of one shape along a new axis, promoted to one dtype.
NIBBLE_API Tensor stack(std::span<const Tensor> tensors, int axis = 0);
/// `sections` equal parts.
NIBBLE_API std::vector<Tensor> split(const Tensor& x, std::int64_t sections, int axis = 0);
/// [start, stop) of one axis, negative counted from the end, clamped as Python slices are. A view; of a packed tensor
/// along its packed axis where group and byte boundaries allow it, else decoded.
NIBBLE_API Tensor slice(const Tensor& x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step = 1);
/// Entry i of the axis, which vanishes.
NIBBLE_API Tensor select(const Tensor& x, int axis, std::int64_t index);
/// A contiguous tensor of the same values; itself if it is one.
NIBBLE_API Tensor contiguous(const Tensor& x);
NIBBLE_API Tensor flip(const Tensor& x, const Axes& axes = {});
/// before[i] and after[i] elements of `value` around axis i.
NIBBLE_API Tensor pad(const Tensor& x, const Shape& before, const Shape& after, Scalar value = 0);
/// Every entry of the axis `repeats` times in a row, as numpy.repeat.
NIBBLE_API Tensor repeat(const Tensor& x, std::int64_t repeats, int axis);
NIBBLE_API Tensor tril(const Tensor& x, std::int64_t k = 0);
NIBBLE_API Tensor triu(const Tensor& x, std::int64_t k = 0);

// ---- indexing: indices are i32, i64 or u32; negative count from the end; out of range throws Error(out_of_range) ---

/// The axis of x is replaced by the axes of indices. A packed x is gathered first, and only the gathered rows decoded.
NIBBLE_API Tensor take(const Tensor& x, const Tensor& indices, int axis = 0);
/// out[…, j, …] = x[…, indices[…, j, …], …]; the other axes broadcast.
NIBBLE_API Tensor take_along_axis(const Tensor& x, const Tensor& indices, int axis);

/// Where a slice begins, or how long a cache is: one number, or an i32 tensor of shape () or (B,), so that a recorded
/// step can be replayed.
class Position {
 public:
  Position(std::int64_t value = 0) : value_(value) {}
  Position(int value) : value_(value) {}
  Position(const Tensor& tensor) : tensor_(tensor) {}
  bool is_tensor() const { return tensor_.defined(); }
  const Tensor& tensor() const { return tensor_; }
  std::int64_t value() const { return value_; }

 private:
  Tensor tensor_;
  std::int64_t value_ = 0;
};

/// x with `rows`, cast to x's dtype, written over x[…, start : start + n, …] of `axis`. In place when no other live
/// Tensor shares x's storage (move it in); else a copy, counted in stats() and refused under Fallback::error. With
/// start (B,), entry b of axis 0 begins at start[b].
NIBBLE_API Tensor update_slice(Tensor x, const Tensor& rows, const Position& start, int axis);

// ---- products ------------------------------------------------------------------------------------------------------

/// a (…, M, K) · b (…, K, N) → (…, M, N), batch axes broadcast; vectors as NumPy has them. Either operand, or both, may
/// be packed along any axis. The result's dtype is promote(a, b) on logical dtypes; sums are in f32. Precision is
/// options().precision.
NIBBLE_API Tensor matmul(const Tensor& a, const Tensor& b);
NIBBLE_API Tensor matmul(const Tensor& a, const Tensor& b, const Options& options);

/// The general product of XLA's DotGeneral and Nx.dot: contracts a's axes_a with b's axes_b, pairwise; batch axes
/// pairwise. Result: batch axes, a's free axes, b's free axes.
NIBBLE_API Tensor dot(const Tensor& a, const Axes& axes_a, const Axes& batch_a, const Tensor& b, const Axes& axes_b,
                      const Axes& batch_b);
/// a's last axis with b's first but one, as numpy.dot.
NIBBLE_API Tensor dot(const Tensor& a, const Tensor& b);
/// Einstein summation of one or more operands, "bhqd,bhkd->bhqk"; "..." stands for broadcast batch axes.
NIBBLE_API Tensor einsum(std::string_view subscripts, std::span<const Tensor> operands);

/// y[i] = x[i] · w[indices[i]]: x (…, M, K), w (E, K, N) (for packed experts the transposed view), indices integer and
/// broadcast against x's batch axes → (…, M, N). Rows are grouped by expert, so that each expert is read once.
NIBBLE_API Tensor gather_matmul(const Tensor& x, const Tensor& w, const Tensor& indices);

// ---- neural ops ----------------------------------------------------------------------------------------------------

/// x / sqrt(mean(x²) + eps) · weight over the last axis (Zhang and Sennrich, 2019), in f32.
NIBBLE_API Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-5);
/// (x − mean) / sqrt(var + eps) · weight + bias over the last axis (Ba et al., 2016), in f32; weight and bias may be
/// undefined.
NIBBLE_API Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

/// How rotary frequencies are stretched past the length that a model was trained on.
struct RopeScaling {
  enum class Type : std::uint8_t {
    none,
    linear,  ///< positions divided by factor (Chen et al., 2023)
    llama3,  ///< by wavelength, as Llama 3.1 (Meta, 2024)
    yarn,    ///< by parts, with an attention factor (Peng et al., 2023)
  };
  Type type = Type::none;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;      ///< llama3
  double beta_fast = 32, beta_slow = 1;                  ///< yarn
  std::optional<double> attention_factor;                ///< yarn; by default 0.1 ln(factor) + 1, or from mscale
  std::optional<double> mscale, mscale_all_dim;          ///< yarn
  bool truncate = true;                                  ///< yarn
  std::int64_t original_max_position_embeddings = 8192;  ///< llama3, yarn
};
/// The angle per position of each pair: (dims / 2,) f32 angles, and the factor by which cos and sin are multiplied.
struct RopeFrequencies {
  Tensor inverse;   ///< (dims / 2,) f32
  float scale = 1;  ///< yarn's attention factor
};
NIBBLE_API RopeFrequencies rope_frequencies(std::int64_t dims, double theta, const RopeScaling& scaling = {});
/// What `scaling` divides each plain frequency, theta^(−2i / dims), by: dims / 2 numbers, as GGUF files keep Llama 3's.
NIBBLE_API std::vector<double> rope_divisors(std::int64_t dims, double theta, const RopeScaling& scaling);

/// Rotary position embedding (Su et al., 2021) of x (…, T, D): the first 2·|inverse| of D are rotated, the rest pass.
/// Token t of batch entry b stands at positions + t (a number or i32 () or (B,)), or at its own place in an i32 tensor
/// (1, T) or (B, T). `interleaved` pairs 2i with 2i + 1 (GPT-J); else i with i + dims/2 (GPT-NeoX, Hugging Face). T is
/// the axis before the last, B the first.
NIBBLE_API Tensor rope(const Tensor& x, const Position& positions, const RopeFrequencies& frequencies,
                       bool interleaved = false);

struct AttentionOptions {
  std::optional<double> scale;         ///< default 1/√D
  bool causal = false;                 ///< aligned bottom-right: a query sees all keys that came before it in the cache
  Tensor mask;                         ///< boolean (true: seen) or additive float, broadcast to (B, H, Tq, Tk)
  std::optional<Position> key_length;  ///< how much of the keys' axis is filled: a number or i32 () or (B,)
};
/// softmax(q kᵀ · scale + mask) v: q (B, H, Tq, D), k (B, Hk, Tk, D), v (B, Hk, Tk, Dv) → (B, H, Tq, Dv), H a multiple
/// of Hk (grouped-query, Ainslie et al., 2023). Online softmax in f32 (Milakov and Gimelshein, 2018); a query that sees
/// no key gives zeros.
NIBBLE_API Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                               const AttentionOptions& options = {});

}  // namespace v0
}  // namespace nibble
