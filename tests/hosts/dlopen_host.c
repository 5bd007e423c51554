/* A program that knows of the library only what dlopen gives it. usage: dlopen_host libnibble.so */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "nibble/nibble.h"

typedef const nibble_api* (*get_api)(uint32_t);

int main(int argc, char** argv) {
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  void* symbol = library ? dlsym(library, "nibble_get_api") : NULL;
  const int64_t size = 3;
  const nibble_dims shape = {&size, 1};
  const nibble_api* nb;
  nibble_tensor* ones = NULL;
  float values[3] = {0, 0, 0};
  get_api get;
  if (!symbol) {
    puts(dlerror());
    return 1;
  }
  memcpy(&get, &symbol, sizeof get); /* ISO C has no cast from an object's pointer to a function's */
  nb = get(NIBBLE_API_VERSION);
  if (!nb || get(9999) != NULL) return 2;
  if (nb->ops->ones(NULL, shape, NIBBLE_F32, &ones, NULL) != NIBBLE_OK) return 3;
  if (nb->tensor_read(NULL, ones, values, sizeof values, NULL) != NIBBLE_OK) return 4;
  nb->tensor_release(NULL, ones);
  return values[2] == 1.0f ? 0 : 5;
}
