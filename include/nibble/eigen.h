#pragma once

#include <Eigen/Core>
#include <string>
#include <type_traits>
#include <utility>

#include "nibble/error.h"
#include "nibble/memory.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

/// Tensors in Eigen's expressions (header only, for programs that have Eigen 3.4):
///
///     Eigen::MatrixXf y = x * nibble::eigen::map(w).transpose();        // w (out, in), packed or dense; x (rows, in)
///     y.noalias() += 2 * nibble::eigen::map(w).middleRows(8, 16) * z;
///
/// Products read the tensor as matmul does, with the options in force, and Eigen's operand in place whatever its
/// strides; an expression is evaluated first, as Eigen does for its own products. Nothing is decoded but by
/// `Eigen::MatrixXf(map(w))`.
namespace nibble {
inline namespace v0 {
namespace eigen {

class Map;
Map map(const Tensor& w);

}  // namespace eigen
}  // namespace v0
}  // namespace nibble

namespace Eigen {
namespace internal {

struct NibbleStorage {};
struct NibbleShape {};

template <>
struct traits<nibble::eigen::Map> {
  using Scalar = float;
  using StorageIndex = Eigen::Index;
  using StorageKind = NibbleStorage;
  using XprKind = MatrixXpr;
  enum {
    RowsAtCompileTime = Dynamic,
    ColsAtCompileTime = Dynamic,
    MaxRowsAtCompileTime = Dynamic,
    MaxColsAtCompileTime = Dynamic,
    Flags = 0,  // a handle: expressions keep copies of it
  };
};

template <>
struct evaluator_traits<nibble::eigen::Map> {
  using Kind = IndexBased;
  using Shape = NibbleShape;
};

}  // namespace internal
}  // namespace Eigen

namespace nibble {
inline namespace v0 {
namespace eigen {

/// A matrix over a tensor of two axes.
class Map : public Eigen::EigenBase<Map> {
 public:
  using Scalar = float;
  using RealScalar = float;
  using StorageIndex = Eigen::Index;
  enum {
    RowsAtCompileTime = Eigen::Dynamic,
    ColsAtCompileTime = Eigen::Dynamic,
    MaxRowsAtCompileTime = Eigen::Dynamic,
    MaxColsAtCompileTime = Eigen::Dynamic,
    SizeAtCompileTime = Eigen::Dynamic,
    IsRowMajor = false,
    IsVectorAtCompileTime = false,
  };

  explicit Map(Tensor w) : w_(std::move(w)) {
    if (w_.ndim() != 2) throw Error(ErrorCode::shape_mismatch, "[eigen::map] " + describe(w_) + ": not a matrix");
  }

  Eigen::Index rows() const { return w_.size(0); }
  Eigen::Index cols() const { return w_.size(1); }
  const Tensor& tensor() const { return w_; }

  Map transpose() const { return Map(nibble::transpose(w_)); }
  /// Views, of columns where groups allow it. Throw Error(out_of_range).
  Map middleRows(Eigen::Index begin, Eigen::Index count) const { return block(0, begin, count); }
  Map middleCols(Eigen::Index begin, Eigen::Index count) const { return block(1, begin, count); }

  /// The values, for `Eigen::MatrixXf(map(w))`.
  template <class Dense>
  void evalTo(Dense& to) const {
    const auto values = contiguous(dequantize(w_, DType::f32)).to_vector<float>();
    using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    to = Eigen::Map<const RowMajor>(values.data(), rows(), cols());
  }

 private:
  Map block(int axis, Eigen::Index begin, Eigen::Index count) const {
    if (begin < 0 || count < 0 || count > w_.size(axis) - begin) {
      throw Error(ErrorCode::out_of_range, "[eigen::map] " + describe(w_) + ": has no " + std::to_string(count) +
                                               (axis == 0 ? " rows from " : " columns from ") + std::to_string(begin));
    }
    return Map(slice(w_, axis, begin, begin + count));
  }

  Tensor w_;
};

/// Throws Error(shape_mismatch) unless w has two axes.
inline Map map(const Tensor& w) { return Map(w); }

template <class Dense>
Eigen::Product<Map, Dense, Eigen::AliasFreeProduct> operator*(const Map& w, const Eigen::MatrixBase<Dense>& x) {
  return {w, x.derived()};
}
template <class Dense>
Eigen::Product<Dense, Map, Eigen::AliasFreeProduct> operator*(const Eigen::MatrixBase<Dense>& x, const Map& w) {
  return {x.derived(), w};
}

namespace detail {

/// Eigen's operand, read in place where it is a matrix in memory and else evaluated, as a tensor.
template <class Dense>
class Lent {
  using Plain =
      Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Dense::IsRowMajor ? Eigen::RowMajor : Eigen::ColMajor>;
  static_assert(std::is_same_v<typename Dense::Scalar, float>, "products with tensors are of floats: cast<float>()");

 public:
  explicit Lent(const Dense& x) : ref_(x) {}
  Tensor tensor() const {
    const Strides strides = Plain::IsRowMajor ? Strides{ref_.outerStride(), ref_.innerStride()}
                                              : Strides{ref_.innerStride(), ref_.outerStride()};
    return from_borrowed(nullptr, ref_.data(), {ref_.rows(), ref_.cols()}, strides, DType::f32);
  }

 private:
  Eigen::Ref<const Plain, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>> ref_;
};

/// to += alpha · product.
template <class Dest>
void add(Dest& to, float alpha, const Tensor& product) {
  const Tensor host = contiguous(cast(product, DType::f32).to(Device::cpu()));
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  to += alpha * Eigen::Map<const RowMajor>(host.data<float>(), to.rows(), to.cols());
}

}  // namespace detail
}  // namespace eigen
}  // namespace v0
}  // namespace nibble

namespace Eigen {
namespace internal {

template <class Dense, int Kind>
struct generic_product_impl<nibble::eigen::Map, Dense, NibbleShape, DenseShape, Kind>
    : generic_product_impl_base<nibble::eigen::Map, Dense,
                                generic_product_impl<nibble::eigen::Map, Dense, NibbleShape, DenseShape, Kind>> {
  using Scalar = float;
  template <class Dest>
  static void scaleAndAddTo(Dest& to, const nibble::eigen::Map& w, const Dense& x, float alpha) {
    const nibble::eigen::detail::Lent<Dense> lent(x);
    nibble::eigen::detail::add(to, alpha, nibble::matmul(w.tensor(), lent.tensor()));
  }
};

template <class Dense, int Kind>
struct generic_product_impl<Dense, nibble::eigen::Map, DenseShape, NibbleShape, Kind>
    : generic_product_impl_base<Dense, nibble::eigen::Map,
                                generic_product_impl<Dense, nibble::eigen::Map, DenseShape, NibbleShape, Kind>> {
  using Scalar = float;
  template <class Dest>
  static void scaleAndAddTo(Dest& to, const Dense& x, const nibble::eigen::Map& w, float alpha) {
    const nibble::eigen::detail::Lent<Dense> lent(x);
    nibble::eigen::detail::add(to, alpha, nibble::matmul(lent.tensor(), w.tensor()));
  }
};

}  // namespace internal
}  // namespace Eigen
