/* A program in C99 that multiplies with packed weights. cc -std=c99 example.c -lnibble */
#include <nibble/nibble.h>
#include <stdio.h>

enum { kOut = 256, kIn = 128, kRows = 3 };

int main(void) {
  const nibble_api* nb = nibble_get_api(NIBBLE_API_VERSION);
  const int64_t w_sizes[] = {kOut, kIn}, x_sizes[] = {kRows, kIn};
  const nibble_dims w_shape = {w_sizes, 2}, x_shape = {x_sizes, 2};
  static float y[kRows][kOut];
  nibble_tensor *dense = NULL, *w = NULL, *turned = NULL, *x = NULL, *product = NULL;
  nibble_tensor_info info;
  nibble_error* error = NULL;
  int failed;
  info.struct_size = sizeof info;
  failed = nb->ops->random_normal(NULL, w_shape, 1, 0, 1, NIBBLE_F32, &dense, &error) ||
           nb->ops->random_normal(NULL, x_shape, 2, 0, 1, NIBBLE_F32, &x, &error) ||
           nb->tensor_pack(NULL, dense, NULL, &w, &error) || /* 4 bits, groups of 64 */
           nb->ops->transpose(NULL, w, nibble_no_dims, &turned, &error) ||
           nb->ops->matmul(NULL, x, turned, &product, &error) || /* the line of a dense weight */
           nb->tensor_read(NULL, product, y, sizeof y, &error) || nb->tensor_info(NULL, w, &info, &error);
  if (failed)
    puts(nb->error_message(error));
  else
    printf("%s: %d bytes, y[0][0] = %.2f\n", info.format, (int)info.bytes, y[0][0]);
  nb->tensor_release(NULL, product);
  nb->tensor_release(NULL, turned);
  nb->tensor_release(NULL, w);
  nb->tensor_release(NULL, x);
  nb->tensor_release(NULL, dense);
  nb->error_release(error);
  return failed;
}
