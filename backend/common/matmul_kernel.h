#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "nibble/options.h"
#include "nibble/tensor.h"
#include "quant_tensor/formats/format.h"

namespace nibble {
inline namespace v0 {
namespace detail {

/// Which axis of the packed operand a product sums over.
enum class Orientation : std::uint8_t {
  along,   ///< y = x · wᵀ: along the packed rows, one output for each row
  across,  ///< y = x · w: over the rows, one output for each place along them (gradients)
};

/// What a kernel is asked whether it can do.
struct MatmulQuery {
  const Format* format = nullptr;  ///< of the packed operand; null for two dense ones
  DType dense_dtype = DType::f32;  ///< of w where it is dense
  Orientation orientation = Orientation::along;
  std::int64_t rows = 0;  ///< of x
  Precision precision = Precision::standard;
  bool deterministic = false;
  bool grouped = false;  ///< one of many products that take the same rows of x, which can be prepared once
};

/// Rows of x as a kernel takes them, made once for many products.
class PreparedRows {
 public:
  virtual ~PreparedRows() = default;

 protected:
  PreparedRows() = default;
  PreparedRows(const PreparedRows&) = default;
  PreparedRows& operator=(const PreparedRows&) = default;
};

/// One 2-D product. x (rows, contracted), y (rows, outputs), both dense with any strides, f32, f16 or bf16.
/// w is a 2-D view (N, K) of packed rows, K along them, whatever the orientation; or dense (N, K) with any strides.
struct MatmulArgs {
  Tensor x;
  Tensor w;
  Tensor y;  ///< being filled
  Orientation orientation = Orientation::along;
  Precision precision = Precision::standard;
  bool deterministic = false;
  /// Where rows lie that no stride leads to: row i of the product begins so many elements behind the first of x, and of
  /// y. Empty: as the views say. A grouped product reads and writes the rows of each group where they are.
  std::span<const std::int64_t> x_rows = {}, y_rows = {};
  /// The weights as the caller holds them while the kernel runs, and may multiply with again; null: nobody says.
  const Tensor* kept = nullptr;
  std::int64_t products = 1;  ///< that share the threads, this one among them: the more, the fewer parts of each
  /// What the kernel's `prepare` made, and which of its rows are those of x; null: nothing.
  const PreparedRows* prepared = nullptr;
  std::span<const std::int64_t> prepared_rows = {};
};

/// A row of a device's kernel table. A kernel is stateless; `run` splits the outputs over the executor.
struct MatmulKernel {
  std::string name;     ///< tile, family, precision, ISA: "along_affine_standard_avx512"
  Precision precision;  ///< what it guarantees
  int priority;         ///< the highest of those that support a query is taken
  std::function<bool(const MatmulQuery& query)> supports;
  std::function<void(const MatmulArgs& args)> run;
  /// Prepares the rows of x, which several products take with matrices like w; nothing is read of w nor written to y.
  /// Null where the kernel has no use for that.
  std::function<std::unique_ptr<const PreparedRows>(const MatmulArgs& args)> prepare = nullptr;
};

/// The kernel for a query that is precise enough and has the highest priority; null where none supports it.
inline const MatmulKernel* best_kernel(std::span<const MatmulKernel> kernels, const MatmulQuery& query) {
  const MatmulKernel* best = nullptr;
  for (const MatmulKernel& kernel : kernels) {
    const bool precise_enough = kernel.precision <= query.precision;
    const bool better = !best || kernel.priority > best->priority;
    if (precise_enough && better && kernel.supports(query)) best = &kernel;
  }
  return best;
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
