#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/tensor.h"

namespace nibble::cli {

/// Every format that weights can be stored in: the dense dtypes f32, f16 and bf16, then all packed ones.
std::vector<std::string> weight_formats();
/// Whether that is a dense dtype's name.
bool is_dense_format(std::string_view format);

struct RandomValues {
  double deviation = 0;  ///< 0: 1/√k, so that a product with normal activations is about as large as they are
  std::uint64_t seed = 1;
};

/// `count` weights (n, k) of normal values, (count, n, k), stored in that format; affine scales and biases are bf16.
/// Rows repeat after some hundred, in memory of their own: what is read and computed is the same as with a model's
/// weights, and even gigabytes are there at once. Throws Error(invalid_argument | shape_mismatch | unsupported).
Tensor random_weights(const std::string& format, std::int64_t count, std::int64_t n, std::int64_t k,
                      const RandomValues& values = {});

/// How many weights of so many bytes it takes for none to be in a cache when its turn comes again. At most some
/// hundred: what is smaller than that stays warm.
std::int64_t cold_copies(std::uint64_t bytes);

/// ‖y − y*‖/‖y*‖ over some rows and columns of y = x · wᵀ, x (rows, k) and w (n, k), with y* in fp64 on w's fp32
/// decode.
double product_error(const Tensor& x, const Tensor& w, const Tensor& y);

}  // namespace nibble::cli
