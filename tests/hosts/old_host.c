/* A host compiled with a header from before tables and structures grew. */
#include <string.h>

#include "tests/hosts/c_hosts.h"
#include "tests/hosts/old/nibble.h"

#define CHECK(condition) \
  if (!(condition)) return #condition

const char* old_host(const void* table) {
  const nibble_api* nb = table;
  const int64_t sizes[] = {4, 64};
  const nibble_dims shape = {sizes, 2};
  struct {
    nibble_tensor_info info;
    unsigned char after[64]; /* what the library must not touch */
  } told;
  nibble_context_options options;
  nibble_context* context = NULL;
  nibble_tensor *x = NULL, *w = NULL, *y = NULL;
  size_t i;
  CHECK(nb->struct_size > sizeof *nb && nb->ops->struct_size > sizeof *nb->ops);
  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.precision = NIBBLE_EXACT;
  CHECK(nb->context_create(&options, &context, NULL) == NIBBLE_OK);
  CHECK(nb->ops->random_normal(context, shape, 1, 0, 1, NIBBLE_F32, &x, NULL) == NIBBLE_OK);
  CHECK(nb->tensor_pack(context, x, NULL, &w, NULL) == NIBBLE_OK);
  CHECK(nb->ops->add(context, nibble_of_tensor(w), nibble_of_integer(1), &y, NULL) == NIBBLE_OK);
  memset(&told, 0x5a, sizeof told);
  told.info.struct_size = sizeof told.info;
  CHECK(nb->tensor_info(context, y, &told.info, NULL) == NIBBLE_OK);
  CHECK(told.info.rank == 2 && told.info.bytes == 4 * 64 * 4 && told.info.struct_size == sizeof told.info);
  for (i = 0; i < sizeof told.after; ++i) CHECK(told.after[i] == 0x5a);
  nb->tensor_release(context, y);
  nb->tensor_release(context, w);
  nb->tensor_release(context, x);
  nb->context_release(context);
  return NULL;
}
