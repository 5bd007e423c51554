#include <algorithm>
#include <array>
#include <bit>
#include <vector>

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
  std::uint32_t parts = 1;
  std::uint64_t rows = 0;
  std::uint64_t x_made = 0;
  std::uint32_t part_k = 0;

  explicit ProductArguments(const MatmulArgs& args)
      : x(address_of(args.x)),
        y(address_of(args.y)),
        m(size(args.x, 0)),
        n(size(args.w, 0)),
        k(size(args.w, 1)),
        x_row(stride(args.x, 0)),
        x_column(stride(args.x, 1)),
        y_row(stride(args.y, 0)),
        y_column(stride(args.y, 1)),
        part_k(k) {
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

bool on_16_bytes(std::uint64_t begin, std::int64_t pitch) { return begin % 16 == 0 && pitch % 16 == 0; }

/// The rows of x and of w that shaders are told of, and how many times as many a workgroup has.
struct Tile {
  std::uint32_t m = 0, n = 0;
  std::uint32_t times_m = 1, times_n = 1;
};

/// What shaders/halves_of_x.glsl is specialized by; nothing for other kernels.
struct Matrices {
  MatrixShape shape = {};
  std::uint32_t halves = 0, fold = 0;

  Tile tile() const { return {shape.m, shape.n, 4, 4}; }
};

/// One product: its operands, its arguments, and how shaders read the operands.
struct Product {
  MatmulArgs operands;
  ProductArguments arguments{operands};
  Tensor rows = {};    ///< where rows lie anywhere, on the device: their places in x and y
  Tensor x_made = {};  ///< x as another kernel left it: shaders/bytes_of_x.glsl, halves_of_x.glsl
  Matrices matrices = {};
  CachedVector<VkBufferView> texels = {};  ///< by binding; empty where operands are read at addresses

  explicit Product(const MatmulArgs& args) : operands(args) {}

  /// Whether rows begin at multiples of 16 bytes and are whole, as shaders/product_x.glsl and reads.glsl ask.
  bool wide_x() const {
    const ProductArguments& a = arguments;
    const auto item = static_cast<std::int64_t>(itemsize(operands.x.dtype()));
    const bool whole = a.x_column == 1 && a.k % 32 == 0;
    if (rows.defined()) {
      const auto begins = operands.x_rows;
      return whole &&
             std::all_of(begins.begin(), begins.end(), [&](std::int64_t at) { return on_16_bytes(a.x, at * item); });
    }
    return whole && on_16_bytes(a.x, a.m == 1 ? 0 : a.x_row * item);
  }
  bool wide_weights() const {
    const ProductArguments& a = arguments;
    const bool whole = a.k % 32 == 0 && (operands.w.is_quantized() || a.w_column == 1);
    return whole && on_16_bytes(a.component[0], a.n == 1 ? 0 : a.pitch[0]);
  }
};

/// The tensors that shaders read, by the numbers that they have there; x is the last.
std::array<Tensor, 4> operands_of(const MatmulArgs& args) {
  const CachedVector<Tensor> parts = parts_of(args.w);
  std::array<Tensor, 4> operands;
  for (std::size_t i = 0; i < 3; ++i) operands[i] = parts[std::min(i, parts.size() - 1)];
  operands[3] = args.x;
  return operands;
}

/// Reads the operands through texel views where the device wants that and they reach: places in them take the place of
/// addresses.
void read_through_texels(Context& context, Product* product) {
  ProductArguments& arguments = product->arguments;
  std::array<std::uint64_t*, 4> places{&arguments.component[0], &arguments.component[1], &arguments.component[2],
                                       &arguments.x};
  std::array<VkBufferView, Pipelines::kTexelBindings> views{};
  std::array<VkDeviceAddress, 4> begins{};
  const auto operands = operands_of(product->operands);
  if (arguments.k == 0 || !context.found().features.shuffles) return;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const auto texels = context.texels(operands[i]);
    if (!texels) return;
    views[i] = texels->views.words;
    views[i + operands.size()] = texels->views.quads;
    begins[i] = texels->begin;
  }
  for (std::size_t i = 0; i < places.size(); ++i) *places[i] -= begins[i];
  product->texels.assign(views.begin(), views.end());
}

std::uint32_t pieces(std::uint32_t size, std::uint32_t piece) { return (size + piece - 1) / piece; }

Variant variant_of(const Product& product, std::string shader, Tile tile, std::uint32_t workgroup) {
  const MatmulArgs& args = product.operands;
  const auto own = format_constants(args.w);
  const auto flag = [](bool is) { return is ? 1u : 0u; };
  Variant variant{std::move(shader),
                  workgroup,
                  {number(args.x.dtype()), number(args.y.dtype()), tile.m, own[0], own[1], own[2], tile.n,
                   flag(product.wide_x()), flag(product.wide_weights()), flag(product.rows.defined())}};
  const Matrices& matrices = product.matrices;
  if (matrices.fold != 0) variant.add({matrices.shape.k, matrices.halves, matrices.fold});
  return variant;
}

/// Tiles of so many rows and columns that y has.
std::uint64_t tiles(const Product& product, Tile tile) {
  return std::uint64_t{pieces(product.arguments.n, tile.times_n * tile.n)} *
         pieces(product.arguments.m, tile.times_m * tile.m);
}

/// Records so many workgroups for each part along k.
void run(Context& context, const Product& product, std::string_view algorithm, Tile tile, std::uint32_t workgroup,
         std::uint64_t count) {
  const MatmulArgs& args = product.operands;
  const Format* format = args.w.is_quantized() ? args.w.packing()->format : nullptr;
  CachedVector<Tensor> reads = parts_of(args.w);
  reads.insert(reads.end(), {args.x, product.rows, product.x_made});
  Commands::Groups groups = context.spread(count);
  groups[2] = product.arguments.parts;
  context.dispatch(variant_of(product, shader_for(algorithm, format), tile, workgroup),
                   std::as_bytes(std::span(&product.arguments, 1)), groups, reads, {&args.y, 1}, product.texels);
}

/// What fills a device, and the least of k that is worth a part of its own. Parts begin where blocks of all formats do.
constexpr std::uint32_t kFilling = 256, kLeastPart = 1024, kPartStep = 256;

/// How many parts k is split into where tiles alone would leave the device idle. Their number depends on that of rows,
/// so that deterministic products have one.
std::uint32_t parts_of_k(const Product& product, Tile tile) {
  if (product.operands.deterministic || product.rows.defined()) return 1;
  const std::uint64_t wanted = kFilling / std::max(tiles(product, tile), std::uint64_t{1});
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(product.arguments.k / kLeastPart, 1, std::max<std::uint64_t>(wanted, 1)));
}

/// Runs a product of tiles, or parts of it along k, which do not wait for one another and are summed in their order.
void run_in_parts(Context& context, const Product& product, std::string_view algorithm, Tile tile,
                  std::uint32_t workgroup) {
  const std::uint32_t k = product.arguments.k, wanted = parts_of_k(product, tile);
  if (wanted == 1) return run(context, product, algorithm, tile, workgroup, tiles(product, tile));
  const std::int64_t m = product.arguments.m, n = product.arguments.n;
  Product part = product;
  part.arguments.part_k = pieces(pieces(k, wanted), kPartStep) * kPartStep;
  part.arguments.parts = pieces(k, part.arguments.part_k);
  part.operands.y = context.allocate({part.arguments.parts, m, n}, DType::f32);
  part.arguments.y = address_of(part.operands.y);
  part.arguments.y_row = static_cast<std::int32_t>(n);
  part.arguments.y_column = 1;
  run(context, part, algorithm, tile, workgroup, tiles(product, tile));
  Product whole = product;
  whole.arguments.x = part.arguments.y;
  whole.arguments.parts = part.arguments.parts;
  context.dispatch(
      variant_of(product, "sum_parts", {}, kElementWorkgroup), std::as_bytes(std::span(&whole.arguments, 1)),
      context.spread(workgroups(static_cast<std::uint64_t>(m * n))), {&part.operands.y, 1}, {&product.operands.y, 1});
}

/// Numbers of rows are powers of two, so that few pipelines serve all sizes.
std::uint32_t rows_at_a_time(const Product& product, std::uint32_t most) {
  return std::min(std::bit_ceil(product.arguments.m), most);
}

/// Records one product over the operands as they lie.
using Launch = void (*)(Context& context, const Product& product);

constexpr std::uint32_t kMostGemvRows = 8;
void launch_gemv(Context& context, const Product& product) {
  // What an invocation holds, 32 weights of each row of w and a sum for each pair, must stay in registers.
  const std::uint32_t m = rows_at_a_time(product, kMostGemvRows);
  const Tile tile{m, m <= 2 ? 4u : 2u};
  run_in_parts(context, product, "gemv", tile, context.found().features.subgroup_size);
}

constexpr Tile kGemmTile{32, 32};
void launch_gemm(Context& context, const Product& product) { run_in_parts(context, product, "gemm", kGemmTile, 64); }

void launch_lanes(Context& context, const Product& product) {
  Product through_texels = product;
  read_through_texels(context, &through_texels);
  if (through_texels.texels.empty()) return launch_gemm(context, product);
  const std::uint32_t lanes = context.found().features.subgroup_size;
  // What is read of x serves all of a lane's rows of w; but each of them is as much more to compile.
  const std::uint32_t m = rows_at_a_time(product, 16);
  const Tile tile{m, m == 16 ? 8u : 4u, 1, lanes};
  run(context, through_texels, "lanes", tile, lanes, tiles(product, tile));
}

void launch_across(Context& context, const Product& product) {
  const std::uint32_t lanes = context.found().features.subgroup_size;
  const Tile tile{rows_at_a_time(product, 4)};
  run(context, product, "across", tile, lanes,
      std::uint64_t{pieces(product.arguments.k, 32 * lanes)} * pieces(product.arguments.m, tile.m));
}

/// Records that x becomes bytes, and gives the product that has them.
Product with_bytes_of_x(Context& context, const Product& product) {
  Product out = product;
  const std::int64_t m = out.arguments.m, k = std::int64_t{pieces(out.arguments.k, 32)} * 32;
  out.x_made = context.allocate({m, k + k / 2}, DType::u8);
  out.arguments.x_made = address_of(out.x_made);
  const Tensor reads[] = {product.operands.x, product.rows};
  context.dispatch(variant_of(product, "x_bytes", {}, kElementWorkgroup), std::as_bytes(std::span(&out.arguments, 1)),
                   context.spread(workgroups(static_cast<std::uint64_t>(m * k / 32))), reads, {&out.x_made, 1});
  return out;
}

void launch_gemv_bytes(Context& context, const Product& product) {
  const Tile tile{rows_at_a_time(product, kMostGemvRows), 4};
  run_in_parts(context, with_bytes_of_x(context, product), "gemv_bytes", tile, context.found().features.subgroup_size);
}

void launch_gemm_bytes(Context& context, const Product& product) {
  run_in_parts(context, with_bytes_of_x(context, product), "gemm_bytes", kGemmTile, 64);
}

/// Records that x becomes numbers of f16 that cooperative matrices multiply, and gives the product that has them.
Product with_halves_of_x(Context& context, const Product& product, std::uint32_t halves) {
  Product out = product;
  const MatrixShape shape = context.found().features.matrices;
  const auto group = static_cast<std::uint32_t>(product.operands.w.packing()->format->group_size);
  out.matrices = {shape, halves, std::bit_floor(std::clamp(group, 16u, 128u))};
  const std::uint32_t tile = 4 * shape.m;
  const std::int64_t m = std::int64_t{pieces(out.arguments.m, tile)} * tile;
  const std::int64_t k = std::int64_t{pieces(out.arguments.k, 128)} * 128;
  out.x_made = context.allocate({m * (k * halves * 2 + 4 + k / out.matrices.fold * 4)}, DType::u8);
  out.arguments.x_made = address_of(out.x_made);
  const Tensor reads[] = {product.operands.x, product.rows};
  context.dispatch(variant_of(out, "x_halves", {shape.m, shape.n}, kElementWorkgroup),
                   std::as_bytes(std::span(&out.arguments, 1)), context.spread(static_cast<std::uint64_t>(m)), reads,
                   {&out.x_made, 1});
  return out;
}

/// What has 11 bits is one number of f16, of f32 two are needed at standard precision.
template <Precision precision>
void launch_matrices(Context& context, const Product& product) {
  const bool wide = precision == Precision::standard && product.operands.x.dtype() == DType::f32;
  const Product halves = with_halves_of_x(context, product, wide ? 2 : 1);
  run_in_parts(context, halves, "gemm_matrices", halves.matrices.tile(), 4 * context.found().features.subgroup_size);
}

/// The places of rows that lie anywhere, for shaders/product_x.glsl.
Tensor upload_rows(VulkanBackend& backend, const MatmulArgs& args) {
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < args.x_rows.size(); ++i) places.insert(places.end(), {args.x_rows[i], args.y_rows[i]});
  Tensor rows = backend.allocate({static_cast<std::int64_t>(places.size())}, DType::i64);
  backend.upload(places.data(), rows);
  return rows;
}

template <Launch launch>
void product(const MatmulArgs& args) {
  VulkanBackend& backend = backend_of(args.y);
  Product whole(args);
  if (!args.x_rows.empty()) {
    whole.arguments.m = static_cast<std::uint32_t>(args.x_rows.size());
    whole.rows = upload_rows(backend, args);
    whole.arguments.rows = address_of(whole.rows);
  }
  if (args.y.numel() > 0) launch(backend.context(), whole);
}

bool takes(const MatmulQuery& q, std::string_view algorithm) {
  return (q.orientation == Orientation::along || !q.format) && has_shader_for(algorithm, q.format);
}
bool gemv_takes(const MatmulQuery& q) { return !q.deterministic && q.rows <= kMostGemvRows && takes(q, "gemv"); }
bool gemm_takes(const MatmulQuery& q) { return takes(q, "gemm"); }
bool across_takes(const MatmulQuery& q) {
  return q.orientation == Orientation::across && q.format && has_shader_for("across", q.format);
}
bool lanes_take(const MatmulQuery& q) { return takes(q, "lanes"); }
bool gemv_bytes_takes(const MatmulQuery& q) {
  return !q.deterministic && q.rows <= kMostGemvRows && takes(q, "gemv_bytes");
}
bool gemm_bytes_takes(const MatmulQuery& q) { return takes(q, "gemm_bytes"); }

bool matrices_take(const MatmulQuery& q) {
  return q.format && (q.deterministic || q.rows > kMostGemvRows) && takes(q, "gemm_matrices");
}

/// Only what is packed: where a product across it has no kernel, dispatch decodes it.
bool host_takes(const MatmulQuery& q) { return q.orientation == Orientation::along || !q.format; }
void run_on_host(const MatmulArgs& args) { backend_of(args.y).multiply(args); }

}  // namespace

std::vector<MatmulKernel> VulkanBackend::kernels_of(const FoundDevice& found) {
  // What is not the best choice on a device is there to be tested.
  const int few = found.is_software() ? 5 : 20;
  std::vector<MatmulKernel> kernels{{"gemv_vulkan", Precision::exact, few, gemv_takes, product<launch_gemv>},
                                    {"gemm_vulkan", Precision::exact, 10, gemm_takes, product<launch_gemm>},
                                    {"across_vulkan", Precision::exact, 10, across_takes, product<launch_across>},
                                    {"host", Precision::exact, 0, host_takes, run_on_host}};
  if (found.is_software()) kernels.push_back({"lanes_vulkan", Precision::exact, 30, lanes_take, product<launch_lanes>});
  if (found.features.dot_products) {
    const int gain = found.features.quick_dot_products ? 20 : 0;
    kernels.push_back({"gemv_bytes_vulkan", Precision::fast, 2 + gain, gemv_bytes_takes, product<launch_gemv_bytes>});
    kernels.push_back({"gemm_bytes_vulkan", Precision::fast, 1 + gain, gemm_bytes_takes, product<launch_gemm_bytes>});
  }
  if (found.features.matrices.k != 0) {
    const int gain = found.is_software() ? 0 : 20;
    kernels.push_back(
        {"matrices_fast_vulkan", Precision::fast, 4 + gain, matrices_take, product<launch_matrices<Precision::fast>>});
    kernels.push_back({"matrices_standard_vulkan", Precision::standard, 3 + gain, matrices_take,
                       product<launch_matrices<Precision::standard>>});
  }
  return kernels;
}

}  // namespace nibble::inline v0::detail::vulkan
