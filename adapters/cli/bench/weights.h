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
/// Refuses what is none of weight_formats(), in --format's name; `more` is what else could have been said there.
void require_known_format(const std::string& format, const char* more = "");

struct RandomValues {
  double deviation = 0;  ///< 0: 1/√k, so that a product with normal activations is about as large as they are
  std::uint64_t seed = 1;
};

/// `count` weights (n, k) of normal values, (count, n, k), stored in that format; affine scales and biases are bf16.
/// Rows repeat after some hundred, in memory of their own: what is read and computed is the same as with a model's
/// weights, and even gigabytes are there at once.
/// Throws Error(invalid_argument | shape_mismatch | unsupported | out_of_memory).
Tensor random_weights(const std::string& format, std::int64_t count, std::int64_t n, std::int64_t k,
                      const RandomValues& values = {});

/// Activations of normal values, `results` values a row to come from them. Throws Error(out_of_memory).
Tensor random_activations(const Shape& shape, std::int64_t results, DType dtype = DType::f32);

/// How many weights of so many bytes it takes for none to be in a cache when its turn comes again. At most some
/// hundred: what is smaller than that stays warm.
std::int64_t cold_copies(std::uint64_t bytes);

/// ‖y − y*‖/‖y*‖ over some rows and columns of y = x · wᵀ, x (rows, k) and w (n, k), with y* in fp64 on w's fp32
/// decode.
double product_error(const Tensor& x, const Tensor& w, const Tensor& y);

}  // namespace nibble::cli
