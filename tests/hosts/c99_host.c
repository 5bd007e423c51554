/* A host in plain C99: its own weights, packed by the library, multiplied; errors; what the library can do. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nibble/nibble.h"
#include "tests/hosts/c_hosts.h"

#define CHECK(condition) \
  if (!(condition)) return #condition

enum { kRows = 3, kOut = 8, kIn = 64 };

static int released;
static void count_release(void* user) {
  free(user);
  ++released;
}

static nibble_buffer dense(const float* data, const int64_t* shape, size_t rank) {
  nibble_buffer buffer;
  memset(&buffer, 0, sizeof buffer);
  buffer.struct_size = sizeof buffer;
  buffer.data = data;
  buffer.shape.values = shape;
  buffer.shape.count = rank;
  buffer.dtype = NIBBLE_F32;
  return buffer;
}

static float weight(int n, int k) { return (float)((n * 7 + k * 3) % 16); }

static const char* multiply_packed(const nibble_api* nb) {
  const int64_t x_shape[] = {kRows, kIn}, w_shape[] = {kOut, kIn};
  float *x = malloc(sizeof(float) * kRows * kIn), w[kOut * kIn], y[kRows * kOut];
  nibble_tensor *xt = NULL, *wt = NULL, *packed = NULL, *turned = NULL, *yt = NULL;
  nibble_tensor_info info;
  int m, n, k;
  released = 0;
  for (k = 0; k < kRows * kIn; ++k) x[k] = (float)(k % 5) - 2.0f;
  for (n = 0; n < kOut; ++n)
    for (k = 0; k < kIn; ++k) w[n * kIn + k] = weight(n, k);
  {
    nibble_buffer of_x = dense(x, x_shape, 2), of_w = dense(w, w_shape, 2);
    of_x.release = count_release;
    of_x.user = x;
    CHECK(nb->tensor_borrow(NULL, &of_x, &xt, NULL) == NIBBLE_OK);
    CHECK(nb->tensor_borrow(NULL, &of_w, &wt, NULL) == NIBBLE_OK);
  }
  CHECK(nb->tensor_pack(NULL, wt, NULL, &packed, NULL) == NIBBLE_OK);
  memset(w, 0, sizeof w); /* the host's own weights may go */
  info.struct_size = sizeof info;
  CHECK(nb->tensor_info(NULL, packed, &info, NULL) == NIBBLE_OK);
  CHECK(info.is_packed && info.shape[0] == kOut && info.shape[1] == kIn && strcmp(info.format, "affine4-g64") == 0);
  CHECK(nb->ops->transpose(NULL, packed, nibble_no_dims, &turned, NULL) == NIBBLE_OK);
  CHECK(nb->ops->matmul(NULL, xt, turned, &yt, NULL) == NIBBLE_OK);
  CHECK(nb->tensor_read(NULL, yt, y, sizeof y, NULL) == NIBBLE_OK);
  for (m = 0; m < kRows; ++m)
    for (n = 0; n < kOut; ++n) {
      double want = 0;
      for (k = 0; k < kIn; ++k) want += x[m * kIn + k] * weight(n, k); /* 16 values: 4 bits hold them exactly */
      CHECK(fabs(y[m * kOut + n] - want) < 0.5);
    }
  nb->tensor_release(NULL, yt);
  nb->tensor_release(NULL, turned);
  nb->tensor_release(NULL, packed);
  nb->tensor_release(NULL, wt);
  CHECK(released == 0);
  nb->tensor_release(NULL, xt);
  CHECK(released == 1);
  return NULL;
}

static const char* packed_from_parts(const nibble_api* nb) {
  static const unsigned char blocks[2 * 18] = {0, 0x3c, 0x98}; /* q4_0: a scale of 1 in f16, then codes */
  const int64_t bytes_shape[] = {2, 18}, shape[] = {2, 32};
  nibble_buffer buffer = dense((const float*)blocks, bytes_shape, 2);
  nibble_component component;
  nibble_packed packed;
  nibble_tensor *bytes = NULL, *w = NULL, *part = NULL, *own = NULL;
  const char* name = NULL;
  float values[64];
  buffer.dtype = NIBBLE_U8;
  CHECK(nb->tensor_borrow(NULL, &buffer, &bytes, NULL) == NIBBLE_OK);
  component.name = "blocks";
  component.tensor = bytes;
  memset(&packed, 0, sizeof packed);
  packed.struct_size = sizeof packed;
  packed.format = "q4_0";
  packed.components = &component;
  packed.component_count = 1;
  packed.shape.values = shape;
  packed.shape.count = 2;
  packed.dtype = NIBBLE_NO_DTYPE;
  CHECK(nb->tensor_from_components(NULL, &packed, &w, NULL) == NIBBLE_OK);
  CHECK(nb->tensor_pack(NULL, w, NULL, &own, NULL) == NIBBLE_OK);
  CHECK(nb->tensor_read(NULL, own, values, sizeof values, NULL) == NIBBLE_OK);
  CHECK(values[0] == 0.0f && values[16] == 1.0f && values[1] == -8.0f);
  CHECK(nb->tensor_component(NULL, w, 0, &name, &part, NULL) == NIBBLE_OK && strcmp(name, "blocks") == 0);
  nb->tensor_release(NULL, part);
  CHECK(nb->tensor_component(NULL, w, 1, &name, &part, NULL) == NIBBLE_OUT_OF_RANGE);
  nb->tensor_release(NULL, own);
  nb->tensor_release(NULL, w);
  nb->tensor_release(NULL, bytes);
  return NULL;
}

/* As GPTQ's desc_act has them: stored weight j is entry order[j], here 31 - j. */
static const char* rows_in_an_order_of_their_own(const nibble_api* nb) {
  static const unsigned char blocks[18] = {0, 0x3c, 0x98}; /* as above: stored weights 0, -8 ... and, the 16th, 1 */
  const int64_t bytes_shape[] = {1, 18}, order_shape[] = {32}, shape[] = {1, 32};
  int32_t order[32];
  float x[32] = {0}, values[32], y = -1;
  nibble_buffer buffer = dense((const float*)blocks, bytes_shape, 2), x_buffer = dense(x, shape, 2);
  nibble_component components[2];
  nibble_packed packed;
  nibble_tensor *bytes = NULL, *places = NULL, *w = NULL, *part = NULL, *own = NULL;
  nibble_tensor *xt = NULL, *turned = NULL, *yt = NULL;
  const char* name = NULL;
  int i;
  for (i = 0; i < 32; ++i) order[i] = 31 - i;
  buffer.dtype = NIBBLE_U8;
  CHECK(nb->tensor_borrow(NULL, &buffer, &bytes, NULL) == NIBBLE_OK);
  buffer = dense((const float*)order, order_shape, 1);
  buffer.dtype = NIBBLE_I32;
  CHECK(nb->tensor_borrow(NULL, &buffer, &places, NULL) == NIBBLE_OK);
  components[0].name = "blocks";
  components[0].tensor = bytes;
  components[1].name = "input_order";
  components[1].tensor = places;
  memset(&packed, 0, sizeof packed);
  packed.struct_size = sizeof packed;
  packed.format = "q4_0";
  packed.components = components;
  packed.component_count = 2;
  packed.shape.values = shape;
  packed.shape.count = 2;
  packed.dtype = NIBBLE_NO_DTYPE;
  CHECK(nb->tensor_from_components(NULL, &packed, &w, NULL) == NIBBLE_OK);
  CHECK(nb->tensor_pack(NULL, w, NULL, &own, NULL) == NIBBLE_OK);
  CHECK(nb->tensor_component(NULL, own, 1, &name, &part, NULL) == NIBBLE_OK && strcmp(name, "input_order") == 0);
  CHECK(nb->tensor_read(NULL, own, values, sizeof values, NULL) == NIBBLE_OK);
  CHECK(values[31] == 0.0f && values[15] == 1.0f && values[30] == -8.0f);
  x[15] = 1; /* meets the stored weight 16 */
  CHECK(nb->tensor_borrow(NULL, &x_buffer, &xt, NULL) == NIBBLE_OK);
  CHECK(nb->ops->transpose(NULL, own, nibble_no_dims, &turned, NULL) == NIBBLE_OK);
  CHECK(nb->ops->matmul(NULL, xt, turned, &yt, NULL) == NIBBLE_OK);
  CHECK(nb->tensor_read(NULL, yt, &y, sizeof y, NULL) == NIBBLE_OK);
  CHECK(fabs(y - 1) < 1e-3);
  nb->tensor_release(NULL, yt);
  nb->tensor_release(NULL, turned);
  nb->tensor_release(NULL, xt);
  nb->tensor_release(NULL, part);
  nb->tensor_release(NULL, own);
  nb->tensor_release(NULL, w);
  nb->tensor_release(NULL, places);
  nb->tensor_release(NULL, bytes);
  return NULL;
}

static const char* errors(const nibble_api* nb) {
  const int64_t a_shape[] = {2, 3}, b_shape[] = {4, 5};
  const nibble_dims a_dims = {a_shape, 2}, b_dims = {b_shape, 2};
  nibble_tensor *a = NULL, *b = NULL, *y = NULL;
  nibble_tensors* none = NULL;
  nibble_error* error = NULL;
  CHECK(nb->ops->zeros(NULL, a_dims, NIBBLE_F32, &a, &error) == NIBBLE_OK && !error);
  CHECK(nb->ops->zeros(NULL, b_dims, NIBBLE_F32, &b, NULL) == NIBBLE_OK);
  CHECK(nb->ops->matmul(NULL, a, b, &y, &error) == NIBBLE_SHAPE_MISMATCH && !y);
  CHECK(nb->error_code(error) == NIBBLE_SHAPE_MISMATCH && strstr(nb->error_message(error), "[matmul]"));
  nb->error_release(error);
  CHECK(nb->ops->zeros(NULL, a_dims, 99, &y, NULL) == NIBBLE_INVALID_ARGUMENT && !y);
  CHECK(nb->ops->matmul(NULL, a, NULL, &y, NULL) == NIBBLE_INVALID_ARGUMENT && !y);
  CHECK(nb->ops->matmul(NULL, a, b, NULL, NULL) == NIBBLE_INVALID_ARGUMENT);
  error = NULL;
  CHECK(nb->load(NULL, "/there/is/no/such/file.gguf", &none, &error) != NIBBLE_OK && !none);
  CHECK(strstr(nb->error_message(error), "file.gguf"));
  nb->error_release(error);
  nb->error_release(NULL);
  CHECK((nb->ops->isnan)(NULL, a, &y, NULL) == NIBBLE_OK);
  nb->tensor_release(NULL, y);
  nb->tensor_release(NULL, b);
  nb->tensor_release(NULL, a);
  return NULL;
}

static const char* capabilities(const nibble_api* nb) {
  const int64_t shape[] = {128, 64}, ragged[] = {128, 60};
  nibble_query query;
  nibble_capability can = -1;
  memset(&query, 0, sizeof query);
  query.struct_size = sizeof query;
  query.op = "matmul";
  query.format = "q4_0";
  query.shape.values = shape;
  query.shape.count = 2;
  CHECK(nb->capability(NULL, &query, &can, NULL) == NIBBLE_OK && can == NIBBLE_NATIVE);
  query.op = "exp";
  CHECK(nb->capability(NULL, &query, &can, NULL) == NIBBLE_OK && can == NIBBLE_DECODED);
  query.shape.values = ragged;
  CHECK(nb->capability(NULL, &query, &can, NULL) == NIBBLE_OK && can == NIBBLE_REFUSED);
  query.op = "no such";
  CHECK(nb->capability(NULL, &query, &can, NULL) == NIBBLE_INVALID_ARGUMENT);
  CHECK(strcmp(nb->device_name(NULL, 0), "cpu") == 0 && nb->format_name(NULL, 0) && !nb->format_name(NULL, 10000));
  return NULL;
}

const char* c99_host(const void* table) {
  const nibble_api* nb = table;
  const char* wrong;
  CHECK(nb->version == NIBBLE_API_VERSION && nb->struct_size == sizeof *nb &&
        NIBBLE_HAS(nibble_ops, nb->ops, reexpress));
  if ((wrong = multiply_packed(nb))) return wrong;
  if ((wrong = packed_from_parts(nb))) return wrong;
  if ((wrong = rows_in_an_order_of_their_own(nb))) return wrong;
  if ((wrong = errors(nb))) return wrong;
  return capabilities(nb);
}
