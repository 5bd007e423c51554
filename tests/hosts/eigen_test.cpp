// Tensors in Eigen's expressions, against Eigen on the decoded weight.
#include "nibble/eigen.h"

#include <gtest/gtest.h>

#include "nibble/options.h"

namespace {

namespace nb = nibble;
using Eigen::MatrixXf;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Products are fp32, and decode nothing.
class EigenMap : public testing::Test {
 protected:
  static nb::Options strict() {
    nb::Options options = nb::options();
    options.precision = nb::Precision::exact;
    options.fallback = nb::Fallback::error;
    return options;
  }
  nb::Tensor w_ = nb::quantize(nb::random_normal({48, 128}, 1));
  MatrixXf dense_ = MatrixXf(nb::eigen::map(w_));
  nb::with in_force_{strict()};
};

void expect_near(const MatrixXf& got, const MatrixXf& want) {
  ASSERT_EQ(got.rows(), want.rows());
  ASSERT_EQ(got.cols(), want.cols());
  EXPECT_LE((got - want).cwiseAbs().maxCoeff(), 1e-4f);
}

TEST_F(EigenMap, MultipliesOnEitherSideInAnyLayout) {
  const auto w = nb::eigen::map(w_);
  const MatrixXf x = MatrixXf::Random(5, 128), z = MatrixXf::Random(128, 3);
  const RowMajor rows = x;
  expect_near(x * w.transpose(), x * dense_.transpose());
  expect_near(rows * w.transpose(), x * dense_.transpose());
  expect_near(w * z, dense_ * z);
  expect_near(w * rows.transpose(), dense_ * x.transpose());
  expect_near(x.leftCols(48) * w, x.leftCols(48) * dense_);
  expect_near((x.array() + 1).matrix() * w.transpose(), (x.array() + 1).matrix() * dense_.transpose());
  expect_near(w * z.col(1), dense_ * z.col(1));
  expect_near(x.row(2) * w.transpose(), x.row(2) * dense_.transpose());
}

TEST_F(EigenMap, IsAnExpressionLikeOthers) {
  const auto w = nb::eigen::map(w_);
  const MatrixXf z = MatrixXf::Random(128, 3);
  MatrixXf y = MatrixXf::Ones(48, 3);
  y.noalias() += 2 * (w * z);
  expect_near(y, (MatrixXf::Ones(48, 3) + 2 * dense_ * z).eval());
  y.noalias() = w * z;
  y -= w * z;
  expect_near(y, MatrixXf::Zero(48, 3));
  y.topRows(8).noalias() = w.middleRows(16, 8) * z;
  expect_near(y.topRows(8), dense_.middleRows(16, 8) * z);
  expect_near((w * z).cwiseAbs() + MatrixXf::Ones(48, 3), ((dense_ * z).cwiseAbs() + MatrixXf::Ones(48, 3)).eval());
}

TEST_F(EigenMap, SaysWhatDoesNotFit) {
  EXPECT_THROW(nb::eigen::map(nb::ones({2, 3, 4})), nb::Error);
  EXPECT_THROW(nb::eigen::map(w_).middleRows(40, 20), nb::Error);
}

}  // namespace
