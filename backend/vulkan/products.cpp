#include <algorithm>
#include <array>
#include <bit>

#include "backend/vulkan/numbers.h"
#include "backend/vulkan/packed.h"
#include "backend/vulkan/vulkan_backend.h"
#include "backend/vulkan/walk.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble::inline v0::detail::vulkan {
namespace {

/// The arguments of shaders/product.glsl.
struct ProductArguments {
  std::uint64_t x = 0, y = 0;
  std::array<std::uint64_t, 3> component{};
  std::array<std::int32_t, 3> pitch{};
  std::uint32_t m = 0, n = 0, k = 0;
  std::int32_t x_row = 0, x_column = 0, y_row = 0, y_column = 0;
  std::int32_t w_column = 0;

  explicit ProductArguments(const MatmulArgs& args)
      : x(address_of(args.x)),
        y(address_of(args.y)),
        m(size(args.x, 0)),
        n(size(args.w, 0)),
        k(size(args.w, 1)),
        x_row(stride(args.x, 0)),
        x_column(stride(args.x, 1)),
        y_row(stride(args.y, 0)),
        y_column(stride(args.y, 1)) {
    const TensorImpl& w = args.w.impl();
    if (!w.packing) {
      component[0] = address_of(args.w);
      pitch[0] = static_cast<std::int32_t>(w.strides[0] * static_cast<std::int64_t>(itemsize(w.dtype)));
      w_column = stride(args.w, 1);
      return;
    }
    const PackedView view(args.w);
    component = view.address;
    for (std::size_t c = 0; c < component.size(); ++c) {
      pitch[c] = static_cast<std::int32_t>(w.strides[0] * static_cast<std::int64_t>(view.pitch[c]));
    }
  }

 private:
  static std::uint32_t size(const Tensor& t, int axis) { return static_cast<std::uint32_t>(t.shape()[axis]); }
  static std::int32_t stride(const Tensor& t, int axis) { return static_cast<std::int32_t>(t.impl().strides[axis]); }
};
static_assert(sizeof(ProductArguments) <= kPushBytes);

/// One dispatch of either algorithm over the operands as they lie.
using Launch = void (*)(Context& context, const MatmulArgs& args, const ProductArguments& arguments);

constexpr std::uint32_t kTile = 32;  // as in gemm.glsl
constexpr std::uint32_t kMostGemvRows = 8;

/// The rows of x that gemv.glsl passes at a time, and the rows of w that a workgroup has.
struct GemvTile {
  std::uint32_t m = 0, n = 0;
};
/// Powers of two, so that few pipelines serve all sizes; small where the processor plays the device: it compiles slowly
/// what is unrolled for a larger tile.
GemvTile gemv_tile(const Context& context, std::uint32_t rows) {
  return {std::min(std::bit_ceil(rows), context.found().software ? 2u : kMostGemvRows), 4};
}

void run(Context& context, const MatmulArgs& args, const ProductArguments& arguments, std::string_view algorithm,
         GemvTile tile, std::uint32_t workgroup, const Commands::Groups& groups) {
  const auto own = format_constants(args.w);
  const Format* format = args.w.is_quantized() ? args.w.packing()->format : nullptr;
  const Tensor reads[] = {args.x, args.w};
  context.dispatch({shader_for(algorithm, format),
                    workgroup,
                    {number(args.x.dtype()), number(args.y.dtype()), tile.m, own[0], own[1], own[2], tile.n,
                     arguments.x_column == 1 ? 1u : 0u, arguments.k % 32 != 0}},
                   std::as_bytes(std::span(&arguments, 1)), groups, reads, {&args.y, 1});
}

void launch_gemv(Context& context, const MatmulArgs& args, const ProductArguments& arguments) {
  const GemvTile tile = gemv_tile(context, arguments.m);
  run(context, args, arguments, "gemv", tile, context.found().features.subgroup_size,
      {(arguments.n + tile.n - 1) / tile.n, (arguments.m + tile.m - 1) / tile.m, 1});
}

void launch_gemm(Context& context, const MatmulArgs& args, const ProductArguments& arguments) {
  run(context, args, arguments, "gemm", {}, 64,
      {(arguments.n + kTile - 1) / kTile, (arguments.m + kTile - 1) / kTile, 1});
}

template <Launch launch>
void product(const MatmulArgs& args) {
  Context& context = backend_of(args.y).context();
  const ProductArguments whole(args);
  if (whole.m == 0 || whole.n == 0) return;
  if (args.x_rows.empty()) return launch(context, args, whole);
  // Rows that lie anywhere are multiplied one by one.
  ProductArguments row = whole;
  row.m = 1;
  for (std::size_t i = 0; i < args.x_rows.size(); ++i) {
    row.x = whole.x + static_cast<std::uint64_t>(args.x_rows[i]) * itemsize(args.x.dtype());
    row.y = whole.y + static_cast<std::uint64_t>(args.y_rows[i]) * itemsize(args.y.dtype());
    launch(context, args, row);
  }
}

bool takes(const MatmulQuery& q, std::string_view algorithm) {
  return (q.orientation == Orientation::along || !q.format) && has_shader_for(algorithm, q.format);
}
bool gemv_takes_any(const MatmulQuery& q) { return !q.deterministic && takes(q, "gemv"); }
bool gemv_takes(const MatmulQuery& q) { return q.rows <= kMostGemvRows && gemv_takes_any(q); }
bool gemm_takes(const MatmulQuery& q) { return takes(q, "gemm"); }

/// Only what is packed: where a product across it has no kernel, dispatch decodes it.
bool host_takes(const MatmulQuery& q) { return q.orientation == Orientation::along || !q.format; }
void run_on_host(const MatmulArgs& args) { backend_of(args.y).multiply(args); }

constexpr std::array<MatmulKernel, 3> kernels_where(bool (*gemv)(const MatmulQuery&)) {
  return {{{"gemv_vulkan", Precision::exact, 20, gemv, product<launch_gemv>},
           {"gemm_vulkan", Precision::exact, 10, gemm_takes, product<launch_gemm>},
           {"host", Precision::exact, 0, host_takes, run_on_host}}};
}
constexpr auto kKernels = kernels_where(gemv_takes);
/// Where the processor plays the device, shared memory is no nearer than any other: tiles gain nothing.
constexpr auto kSoftwareKernels = kernels_where(gemv_takes_any);

}  // namespace

std::span<const MatmulKernel> VulkanBackend::matmul_kernels() {
  if (context_.found().software) return kSoftwareKernels;
  return kKernels;
}

}  // namespace nibble::inline v0::detail::vulkan
