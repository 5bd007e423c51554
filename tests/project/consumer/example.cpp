#include <nibble/ops.h>

#include <cstdio>

namespace nb = nibble;

int main() {
  nb::Tensor dense = nb::random_normal({256, 128}, /*seed=*/1);  // a weight (out, in)
  nb::Tensor packed = nb::quantize(dense, {.bits = 4, .group_size = 64});
  nb::Tensor x = nb::random_normal({3, 128}, /*seed=*/2);

  for (const nb::Tensor& w : {dense, packed}) {
    nb::Tensor y = nb::matmul(x, nb::transpose(w));  // the same line for both
    std::printf("%s: %d bytes, y[0][0] = %.2f\n", nb::describe(w).c_str(), static_cast<int>(w.nbytes()),
                y.to_vector<float>()[0]);
  }
}
