// long because one header is all that a host of another language needs
/* The C interface of nibble: the stable surface for every other language. C99 and C++.

   nibble_get_api(NIBBLE_API_VERSION) gives a table of functions; it is the only symbol, so that a host may load the
   library when it runs:

     const nibble_api* nb = nibble_get_api(NIBBLE_API_VERSION);
     nibble_tensor *wt = NULL, *y = NULL;
     nibble_error* error = NULL;
     if (nb->ops->transpose(NULL, w, nibble_no_dims, &wt, &error) != NIBBLE_OK ||
         nb->ops->matmul(NULL, x, wt, &y, &error) != NIBBLE_OK)
       puts(nb->error_message(error));

   - Every function that can fail returns a status, writes its results only on success, and on failure makes an error
     object if `error` is not NULL. No exception leaves the library. error_release and the other release functions take
     NULL too.
   - The context comes first and may be NULL: then the process's defaults hold. A context never changes, and may be
     used on many threads at once. So may tensors, which are immutable handles; what a function returns is released by
     the caller. Every other pointer is only borrowed for the call.
   - Structures that begin with struct_size may grow at their end: set it to sizeof. Fields that the library does not
     know must be zero; fields that the caller does not know are taken for absent. The others never change. The tables
     grow at their end too: NIBBLE_HAS says whether an older library's has an entry.
   - A function's meaning is that of its name in nibble/ops.h and nibble/quantization.h. Where math.h defines a macro of
     the name, write (nb->ops->isnan)(...). */
#ifndef NIBBLE_NIBBLE_H
#define NIBBLE_NIBBLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NIBBLE_API_VERSION 1
/* Whether the library's table has the member: NIBBLE_HAS(nibble_ops, nb->ops, matmul). */
#define NIBBLE_HAS(type, table, member) ((table)->struct_size >= offsetof(type, member) + sizeof((table)->member))

typedef struct nibble_context nibble_context;
typedef struct nibble_error nibble_error;
typedef struct nibble_tensor nibble_tensor;
typedef struct nibble_tensors nibble_tensors; /* tensors by name, in the order of names */

/* ---- numbers with names ----------------------------------------------------------------------------------------- */

typedef int32_t nibble_status;
enum {
  NIBBLE_OK = 0,
  NIBBLE_INVALID_ARGUMENT,
  NIBBLE_SHAPE_MISMATCH,
  NIBBLE_DTYPE_MISMATCH,
  NIBBLE_OUT_OF_RANGE,
  NIBBLE_DEVICE_MISMATCH,
  NIBBLE_UNSUPPORTED,
  NIBBLE_FALLBACK_FORBIDDEN,
  NIBBLE_TRANSFER_FORBIDDEN,
  NIBBLE_INVALID_FILE,
  NIBBLE_IO_ERROR,
  NIBBLE_OUT_OF_MEMORY,
  NIBBLE_DEVICE_LOST,
  NIBBLE_UNEXPECTED = 255 /* a fault of the library itself */
};

typedef int32_t nibble_dtype;
enum {
  NIBBLE_NO_DTYPE = -1, /* where one may be absent */
  NIBBLE_F32 = 0,
  NIBBLE_F16,
  NIBBLE_BF16,
  NIBBLE_F64,
  NIBBLE_I8,
  NIBBLE_U8,
  NIBBLE_I16,
  NIBBLE_U16,
  NIBBLE_I32,
  NIBBLE_U32,
  NIBBLE_I64,
  NIBBLE_U64,
  NIBBLE_BOOL,
  NIBBLE_F8_E4M3,
  NIBBLE_F8_E5M2
};

/* nibble/options.h says what each promises. */
enum { NIBBLE_STANDARD = 0, NIBBLE_EXACT, NIBBLE_FAST };
enum { NIBBLE_ALLOW = 0, NIBBLE_FORBID };
enum { NIBBLE_LOG_ERROR = 0, NIBBLE_LOG_WARNING };

/* How an operation would be done. */
typedef int32_t nibble_capability;
enum {
  NIBBLE_REFUSED = 0,
  NIBBLE_DECODED, /* a packed operand is decoded first, which stats count and NIBBLE_FORBID forbids */
  NIBBLE_NATIVE
};

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* Sizes, strides or axes. */
typedef struct nibble_dims {
  const int64_t* values;
  size_t count;
} nibble_dims;
static const nibble_dims nibble_no_dims = {NULL, 0}; /* for axes: all of them */

/* A tensor or a number, which takes the dtype of the tensor beside it. */
typedef struct nibble_value {
  int32_t kind;
  union {
    const nibble_tensor* tensor;
    int64_t integer; /* of a boolean 0 or 1 */
    double floating;
  } as;
} nibble_value;
enum { NIBBLE_TENSOR = 0, NIBBLE_BOOLEAN, NIBBLE_INTEGER, NIBBLE_FLOATING };
static inline nibble_value nibble_of_tensor(const nibble_tensor* tensor) {
  nibble_value value;
  value.kind = NIBBLE_TENSOR;
  value.as.tensor = tensor;
  return value;
}
static inline nibble_value nibble_of_integer(int64_t number) {
  nibble_value value;
  value.kind = NIBBLE_INTEGER;
  value.as.integer = number;
  return value;
}
static inline nibble_value nibble_of_floating(double number) {
  nibble_value value;
  value.kind = NIBBLE_FLOATING;
  value.as.floating = number;
  return value;
}

typedef struct nibble_list {
  const nibble_tensor* const* tensors;
  size_t count;
} nibble_list;

/* ---- structures of arguments, which may grow --------------------------------------------------------------------- */

/* A host's memory, from which tensors that the context makes on the CPU come. */
typedef struct nibble_allocator {
  size_t struct_size;
  void* user;
  void* (*allocate)(void* user, size_t bytes, size_t alignment); /* NULL: there is none */
  void (*free)(void* user, void* data, size_t bytes);            /* on any thread; perhaps after the context has gone */
} nibble_allocator;

/* A host's threads: run must call task(data, i) once for each i below count, on any threads, and then return. */
typedef struct nibble_executor {
  size_t struct_size;
  void* user;
  int32_t threads; /* workers that loops are split for, at least 1 */
  void (*run)(void* user, int64_t count, void (*task)(void* data, int64_t i), void* data);
} nibble_executor;

/* Told of every error, and of what an operation had to decode. On the thread of the call. */
typedef struct nibble_logger {
  size_t struct_size;
  void* user;
  void (*log)(void* user, int32_t level, const char* text);
} nibble_logger;

/* All zero: the defaults. */
typedef struct nibble_context_options {
  size_t struct_size;
  int32_t precision;
  int32_t fallback;
  int32_t transfer;
  int32_t deterministic;
  const char* device; /* of what creation functions make: "cpu", "vulkan:0"; NULL: cpu */
  const nibble_executor* executor;
  const nibble_allocator* allocator;
  const nibble_logger* logger;
} nibble_context_options;

/* A dense array of the host. */
typedef struct nibble_buffer {
  size_t struct_size;
  const void* data; /* of element (0, 0, …) */
  nibble_dims shape;
  nibble_dims strides; /* in elements; none: row-major */
  nibble_dtype dtype;
  void (*release)(void* user); /* tensor_borrow: called once, on any thread, when nothing reads the data any more */
  void* user;
} nibble_buffer;

typedef struct nibble_component {
  const char* name; /* "codes", "scales", "biases"; of GGUF's formats "blocks" */
  const nibble_tensor* tensor;
} nibble_component;

/* A packed tensor over its components, borrowed ones too: nothing is copied where they are contiguous. One more,
   "input_order", i32 (K,), says that stored weight j is entry input_order[j] of the packed axis. */
typedef struct nibble_packed {
  size_t struct_size;
  const char* format; /* "affine4-g64", "q4_0" */
  const nibble_component* components;
  size_t component_count;
  nibble_dims shape;  /* logical */
  nibble_dtype dtype; /* logical; NIBBLE_NO_DTYPE: the scales', else f32 */
} nibble_packed;

typedef struct nibble_tensor_info {
  size_t struct_size;
  nibble_dtype dtype; /* logical, like the shape */
  int32_t rank;
  int64_t shape[8];
  int64_t strides[8]; /* of a dense tensor in host memory, in elements; else 0 */
  uint64_t bytes;
  int32_t is_packed;
  int32_t packed_axis;
  char device[16];
  char format[32]; /* empty for a dense tensor */
} nibble_tensor_info;

typedef struct nibble_query {
  size_t struct_size;
  const char* op; /* a member of nibble_ops */
  nibble_dtype dtype;
  const char* format; /* of the packed operand; NULL: dense */
  nibble_dims shape;  /* of that operand, as it is stored: the last axis is the packed one */
  const char* device; /* NULL: cpu */
} nibble_query;

typedef struct nibble_stats {
  size_t struct_size;
  uint64_t bytes_dequantized;
  uint64_t bytes_copied;
  uint64_t bytes_moved;
  uint64_t bytes_allocated;
  uint64_t peak_bytes_allocated;
  uint64_t ops_cpu;
  uint64_t ops_vulkan;
} nibble_stats;

typedef struct nibble_affine_params {
  size_t struct_size;
  int32_t bits;
  int32_t group_size;
} nibble_affine_params;

typedef struct nibble_quantize_params {
  size_t struct_size;
  const char* format; /* a full name, or "affine" (NULL too) with the two below; 0 is their default */
  int32_t bits;
  int32_t group_size;
} nibble_quantize_params;

enum { NIBBLE_ROPE_PLAIN = 0, NIBBLE_ROPE_LINEAR, NIBBLE_ROPE_LLAMA3, NIBBLE_ROPE_YARN };
/* A double that is NaN is absent. */
typedef struct nibble_rope_scaling {
  size_t struct_size;
  int32_t type;
  int32_t truncate;
  double factor;
  double low_freq_factor, high_freq_factor;
  double beta_fast, beta_slow;
  double attention_factor;
  double mscale, mscale_all_dim;
  int64_t original_max_position_embeddings;
} nibble_rope_scaling;

/* As a result, `inverse` is released by the caller. */
typedef struct nibble_rope_table {
  size_t struct_size;
  nibble_tensor* inverse;
  float scale;
} nibble_rope_table;

typedef struct nibble_attention_options {
  size_t struct_size;
  double scale; /* 0: 1/√D */
  int32_t causal;
  int32_t has_key_length;
  const nibble_tensor* mask; /* NULL: none */
  nibble_value key_length;
} nibble_attention_options;

/* A Vulkan device of the host's, made as nibble/vulkan.h says. Nothing else may be submitted to the queue while nibble
   computes there. */
typedef struct nibble_vulkan_handles {
  size_t struct_size;
  void* instance; /* VkInstance, and so on */
  void* physical_device;
  void* device;
  void* queue;
  uint32_t queue_family;
} nibble_vulkan_handles;

/* Where the bytes of a contiguous dense tensor lie on such a device. */
typedef struct nibble_vulkan_memory {
  size_t struct_size;
  void* buffer; /* VkBuffer */
  uint64_t offset;
  uint64_t bytes;
  uint64_t address; /* the same place as shaders name it */
} nibble_vulkan_memory;

/* ---- plain operations ------------------------------------------------------------------------------------------- */

#define NIBBLE_IN nibble_context* context
#define NIBBLE_OUT nibble_tensor **out, nibble_error **error
typedef nibble_status (*nibble_unary)(NIBBLE_IN, const nibble_tensor* x, NIBBLE_OUT);
typedef nibble_status (*nibble_binary)(NIBBLE_IN, nibble_value a, nibble_value b, NIBBLE_OUT);
typedef nibble_status (*nibble_reduction)(NIBBLE_IN, const nibble_tensor* x, nibble_dims axes, int32_t keepdims,
                                          NIBBLE_OUT);
typedef nibble_status (*nibble_along)(NIBBLE_IN, const nibble_tensor* x, int32_t axis, NIBBLE_OUT);
typedef nibble_status (*nibble_along_flag)(NIBBLE_IN, const nibble_tensor* x, int32_t axis, int32_t flag, NIBBLE_OUT);
typedef nibble_status (*nibble_with_dims)(NIBBLE_IN, const nibble_tensor* x, nibble_dims dims, NIBBLE_OUT);
typedef nibble_status (*nibble_creation)(NIBBLE_IN, nibble_dims shape, nibble_dtype dtype, NIBBLE_OUT);
typedef nibble_status (*nibble_random)(NIBBLE_IN, nibble_dims shape, uint64_t seed, double a, double b,
                                       nibble_dtype dtype, NIBBLE_OUT);

/* Made from the library's one table of operations: member by member in its order, which a test holds it to. */
typedef struct nibble_ops {
  size_t struct_size;

  nibble_creation zeros;
  nibble_creation ones;
  nibble_status (*full)(NIBBLE_IN, nibble_dims shape, nibble_value value, nibble_dtype dtype, NIBBLE_OUT);
  nibble_creation empty;
  nibble_status (*empty_packed)(NIBBLE_IN, nibble_dims shape, const char* storage, NIBBLE_OUT);
  nibble_status (*arange)(NIBBLE_IN, nibble_value start, nibble_value stop, nibble_value step, nibble_dtype dtype,
                          NIBBLE_OUT);
  nibble_random random_uniform; /* a: low, b: high */
  nibble_random random_normal;  /* a: mean, b: standard deviation */

  nibble_binary add;
  nibble_binary subtract;
  nibble_binary multiply;
  nibble_binary divide;
  nibble_binary floor_divide;
  nibble_binary remainder;
  nibble_binary power;
  nibble_binary minimum;
  nibble_binary maximum;
  nibble_binary equal;
  nibble_binary not_equal;
  nibble_binary less;
  nibble_binary less_equal;
  nibble_binary greater;
  nibble_binary greater_equal;
  nibble_binary logical_and;
  nibble_binary logical_or;
  nibble_unary negative;
  nibble_unary abs;
  nibble_unary sign;
  nibble_unary square;
  nibble_unary sqrt;
  nibble_unary rsqrt;
  nibble_unary reciprocal;
  nibble_unary exp;
  nibble_unary log;
  nibble_unary sin;
  nibble_unary cos;
  nibble_unary tanh;
  nibble_unary erf;
  nibble_unary floor;
  nibble_unary ceil;
  nibble_unary round;
  nibble_unary logical_not;
  nibble_unary isnan;
  nibble_unary isinf;
  nibble_unary isfinite;
  nibble_unary sigmoid;
  nibble_unary relu;
  nibble_unary silu;
  nibble_unary gelu;
  nibble_unary gelu_tanh;
  nibble_status (*where)(NIBBLE_IN, const nibble_tensor* condition, nibble_value a, nibble_value b, NIBBLE_OUT);
  nibble_status (*cast)(NIBBLE_IN, const nibble_tensor* x, nibble_dtype dtype, NIBBLE_OUT);

  nibble_reduction sum;
  nibble_reduction mean;
  nibble_reduction max;
  nibble_reduction min;
  nibble_status (*var)(NIBBLE_IN, const nibble_tensor* x, nibble_dims axes, int32_t keepdims, double correction,
                       NIBBLE_OUT);
  nibble_reduction logsumexp;
  nibble_along_flag argmax; /* flag: keepdims */
  nibble_along_flag argmin;
  nibble_along softmax;
  nibble_along log_softmax;

  nibble_along_flag sort; /* flag: descending */
  nibble_along_flag argsort;
  /* out[0]: values, out[1]: indices */
  nibble_status (*topk)(NIBBLE_IN, const nibble_tensor* x, int64_t k, int32_t axis, NIBBLE_OUT);

  nibble_with_dims reshape;
  nibble_with_dims transpose;
  nibble_status (*swapaxes)(NIBBLE_IN, const nibble_tensor* x, int32_t a, int32_t b, NIBBLE_OUT);
  nibble_along expand_dims;
  nibble_with_dims squeeze;
  nibble_with_dims broadcast_to;
  nibble_status (*concatenate)(NIBBLE_IN, nibble_list tensors, int32_t axis, NIBBLE_OUT);
  nibble_status (*stack)(NIBBLE_IN, nibble_list tensors, int32_t axis, NIBBLE_OUT);
  /* out: as many as sections */
  nibble_status (*split)(NIBBLE_IN, const nibble_tensor* x, int64_t sections, int32_t axis, NIBBLE_OUT);
  nibble_status (*slice)(NIBBLE_IN, const nibble_tensor* x, int32_t axis, int64_t start, int64_t stop, int64_t step,
                         NIBBLE_OUT);
  nibble_status (*select)(NIBBLE_IN, const nibble_tensor* x, int32_t axis, int64_t index, NIBBLE_OUT);
  nibble_unary contiguous;
  nibble_with_dims flip;
  nibble_status (*pad)(NIBBLE_IN, const nibble_tensor* x, nibble_dims before, nibble_dims after, nibble_value value,
                       NIBBLE_OUT);
  nibble_status (*repeat)(NIBBLE_IN, const nibble_tensor* x, int64_t repeats, int32_t axis, NIBBLE_OUT);
  nibble_status (*tril)(NIBBLE_IN, const nibble_tensor* x, int64_t k, NIBBLE_OUT);
  nibble_status (*triu)(NIBBLE_IN, const nibble_tensor* x, int64_t k, NIBBLE_OUT);

  nibble_status (*take)(NIBBLE_IN, const nibble_tensor* x, const nibble_tensor* indices, int32_t axis, NIBBLE_OUT);
  nibble_status (*take_along_axis)(NIBBLE_IN, const nibble_tensor* x, const nibble_tensor* indices, int32_t axis,
                                   NIBBLE_OUT);
  /* In place where no other tensor shares x's storage. The handle x is used up, whatever the outcome: it is empty
     afterwards, and only to be released. start: an integer, or an i32 tensor. */
  nibble_status (*update_slice)(NIBBLE_IN, nibble_tensor* x, const nibble_tensor* rows, nibble_value start,
                                int32_t axis, NIBBLE_OUT);

  nibble_status (*matmul)(NIBBLE_IN, const nibble_tensor* a, const nibble_tensor* b, NIBBLE_OUT);
  nibble_status (*dot)(NIBBLE_IN, const nibble_tensor* a, const nibble_tensor* b, NIBBLE_OUT);
  nibble_status (*dot_general)(NIBBLE_IN, const nibble_tensor* a, nibble_dims axes_a, nibble_dims batch_a,
                               const nibble_tensor* b, nibble_dims axes_b, nibble_dims batch_b, NIBBLE_OUT);
  nibble_status (*einsum)(NIBBLE_IN, const char* subscripts, nibble_list operands, NIBBLE_OUT);
  nibble_status (*gather_matmul)(NIBBLE_IN, const nibble_tensor* x, const nibble_tensor* w,
                                 const nibble_tensor* indices, NIBBLE_OUT);

  nibble_status (*rms_norm)(NIBBLE_IN, const nibble_tensor* x, const nibble_tensor* weight, double eps, NIBBLE_OUT);
  /* weight and bias may be NULL */
  nibble_status (*layer_norm)(NIBBLE_IN, const nibble_tensor* x, const nibble_tensor* weight, const nibble_tensor* bias,
                              double eps, NIBBLE_OUT);
  /* scaling may be NULL */
  nibble_status (*rope_frequencies)(NIBBLE_IN, int64_t dims, double theta, const nibble_rope_scaling* scaling,
                                    nibble_rope_table* out, nibble_error** error);
  nibble_status (*rope)(NIBBLE_IN, const nibble_tensor* x, nibble_value positions, const nibble_rope_table* frequencies,
                        int32_t interleaved, NIBBLE_OUT);
  /* options may be NULL */
  nibble_status (*scaled_dot_product_attention)(NIBBLE_IN, const nibble_tensor* q, const nibble_tensor* k,
                                                const nibble_tensor* v, const nibble_attention_options* options,
                                                NIBBLE_OUT);

  /* params may be NULL */
  nibble_status (*from_quantized)(NIBBLE_IN, const nibble_tensor* codes, const nibble_tensor* scales,
                                  const nibble_tensor* biases, const nibble_affine_params* params, NIBBLE_OUT);
  nibble_status (*quantize)(NIBBLE_IN, const nibble_tensor* w, const nibble_quantize_params* params, NIBBLE_OUT);
  nibble_status (*dequantize)(NIBBLE_IN, const nibble_tensor* w, nibble_dtype dtype, NIBBLE_OUT);
  nibble_status (*reexpress)(NIBBLE_IN, const nibble_tensor* packed, const char* format, NIBBLE_OUT);
} nibble_ops;

/* ---- everything else -------------------------------------------------------------------------------------------- */

typedef struct nibble_api {
  size_t struct_size;
  uint32_t version;
  const char* library_version; /* "0.1.0" */
  const nibble_ops* ops;

  nibble_status (*error_code)(const nibble_error* error);
  const char* (*error_message)(const nibble_error* error); /* one line; of NULL "" */
  void (*error_release)(nibble_error* error);

  /* options may be NULL. What they point to may go after the call, but for the hooks' `user`. */
  nibble_status (*context_create)(const nibble_context_options* options, nibble_context** out, nibble_error** error);
  void (*context_release)(nibble_context* context);

  /* Without a copy. On failure `release` is not called. */
  nibble_status (*tensor_borrow)(NIBBLE_IN, const nibble_buffer* buffer, NIBBLE_OUT);
  /* A copy, on the context's device; `release` is not called. */
  nibble_status (*tensor_copy)(NIBBLE_IN, const nibble_buffer* buffer, NIBBLE_OUT);
  nibble_status (*tensor_from_components)(NIBBLE_IN, const nibble_packed* packed, NIBBLE_OUT);
  /* A packed tensor in memory of its own, after which the host may drop what `w` was made over: a dense one is
     quantized as `params` say (NULL: the defaults); of a packed one, for which they must be NULL, the bytes are copied.
   */
  nibble_status (*tensor_pack)(NIBBLE_IN, const nibble_tensor* w, const nibble_quantize_params* params, NIBBLE_OUT);
  nibble_status (*tensor_to_device)(NIBBLE_IN, const nibble_tensor* x, const char* device, NIBBLE_OUT);
  nibble_status (*tensor_share)(NIBBLE_IN, const nibble_tensor* x, NIBBLE_OUT); /* another handle */
  void (*tensor_release)(NIBBLE_IN, nibble_tensor* tensor);

  nibble_status (*tensor_info)(NIBBLE_IN, const nibble_tensor* x, nibble_tensor_info* out, nibble_error** error);
  /* The elements in row-major order, from any layout and device; of a packed tensor its values. */
  nibble_status (*tensor_read)(NIBBLE_IN, const nibble_tensor* x, void* out, size_t bytes, nibble_error** error);
  /* The first element of a dense tensor in host memory; tensor_info tells the strides. */
  nibble_status (*tensor_data)(NIBBLE_IN, const nibble_tensor* x, const void** out, nibble_error** error);
  /* "affine4-g64 (128, 128)": at most `capacity` bytes with the closing 0; *needed (may be NULL) is what all takes. */
  nibble_status (*tensor_describe)(NIBBLE_IN, const nibble_tensor* x, char* text, size_t capacity, size_t* needed,
                                   nibble_error** error);
  /* Component i of a packed tensor; *name lives as long as the library. Past the last one: NIBBLE_OUT_OF_RANGE. */
  nibble_status (*tensor_component)(NIBBLE_IN, const nibble_tensor* x, size_t i, const char** name, NIBBLE_OUT);

  /* A model folder, .safetensors, .gguf or .onnx file, mapped into memory: packed where the file is. */
  nibble_status (*load)(NIBBLE_IN, const char* path, nibble_tensors** out, nibble_error** error);
  /* A .safetensors file, written whole or not at all. */
  nibble_status (*save)(NIBBLE_IN, const char* path, const nibble_component* tensors, size_t count,
                        nibble_error** error);
  size_t (*tensors_count)(NIBBLE_IN, const nibble_tensors* tensors);
  const char* (*tensors_name)(NIBBLE_IN, const nibble_tensors* tensors, size_t i); /* NULL past the last */
  nibble_status (*tensors_get)(NIBBLE_IN, const nibble_tensors* tensors, const char* name, NIBBLE_OUT);
  void (*tensors_release)(NIBBLE_IN, nibble_tensors* tensors);

  nibble_status (*capability)(NIBBLE_IN, const nibble_query* query, nibble_capability* out, nibble_error** error);
  const char* (*format_name)(NIBBLE_IN, size_t i); /* "affine4-g64"; NULL past the last */
  const char* (*device_name)(NIBBLE_IN, size_t i); /* "cpu", "vulkan:0"; NULL past the last */
  void (*stats)(NIBBLE_IN, nibble_stats* out);

  /* name: "vulkan:1", by which the device is asked for. Released when no tensor lives there any more. */
  nibble_status (*vulkan_adopt)(NIBBLE_IN, const nibble_vulkan_handles* handles, char name[16], nibble_error** error);
  nibble_status (*vulkan_release)(NIBBLE_IN, const char* device, nibble_error** error);
  /* A timeline semaphore (VkSemaphore) of the host's: what is called from now on waits until it has `value`; it gets
     `value` when what was called so far is done. */
  nibble_status (*vulkan_wait)(NIBBLE_IN, const char* device, void* timeline, uint64_t value, nibble_error** error);
  nibble_status (*vulkan_signal)(NIBBLE_IN, const char* device, void* timeline, uint64_t value, nibble_error** error);
  nibble_status (*vulkan_buffer)(NIBBLE_IN, const nibble_tensor* x, nibble_vulkan_memory* out, nibble_error** error);
} nibble_api;

#undef NIBBLE_IN
#undef NIBBLE_OUT

/* The table; NULL for a version that this library does not know. It lives as long as the library. */
__attribute__((visibility("default"))) const nibble_api* nibble_get_api(uint32_t version);

#ifdef __cplusplus
}
#endif

#endif
