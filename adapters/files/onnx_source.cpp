// Constants that an ONNX graph unpacks, value = (code − zero) · scale. com.microsoft.MatMulNBits: codes (N, K/block,
// block·bits/8) of 2, 4 or 8 bits, the lowest first, scales (N, K/block), zero points packed likewise, each row filled
// up to a whole byte, 2^(bits−1) where there are none. DequantizeLinear: codes of one type, scales for the tensor,
// along one axis, or for blocks along it, zero points of the codes' type and the scales' shape, 0 where there are none.

#include "adapters/files/onnx_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "adapters/files/file_error.h"
#include "adapters/files/onnx_file.h"
#include "adapters/files/packed_pieces.h"
#include "adapters/files/zero_points.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

/// Rows of codes whose groups share a scale and a zero point.
struct Unpacking {
  const OnnxTensor *codes = nullptr, *scales = nullptr, *zeros = nullptr;
  int bits = 4;
  bool is_transposed = false;  // the rows are the matrix's columns
  std::int64_t rows = 0, length = 0, group = 0;
  std::int64_t row_step = 0, group_step = 0;  // between scales
  std::int64_t zero_row_bits = 0;             // between zero points of two rows
  int default_zero = 0;                       // of codes as unsigned numbers

  bool operator==(const Unpacking&) const = default;

  bool is_signed() const { return codes->type->is_signed; }
  int half() const { return 1 << (bits - 1); }
  /// Signed numbers, counted up to unsigned ones.
  unsigned flip() const { return is_signed() ? static_cast<unsigned>(half()) : 0; }
  unsigned number(std::string_view bytes, std::int64_t bit) const {
    const auto byte = static_cast<unsigned char>(bytes[static_cast<std::size_t>(bit / 8)]);
    return ((byte >> (bit % 8)) & ((1u << bits) - 1)) ^ flip();
  }
  std::int64_t scale_at(std::int64_t row, std::int64_t g) const { return row * row_step + g * group_step; }
  int zero_at(std::int64_t row, std::int64_t g) const {
    return zeros ? static_cast<int>(number(zeros->bytes, row * zero_row_bits + g * group_step * bits)) : default_zero;
  }
};

Tensor whole_tensor(const OnnxFile& file, const OnnxTensor& tensor) {
  if (tensor.type->dtype == DType::boolean && std::ranges::any_of(tensor.bytes, [](unsigned char b) { return b > 1; }))
    broken_rule(ErrorCode::invalid_file, "a bool that is neither 0 nor 1");
  return from_borrowed(file.files()[tensor.file], tensor.bytes.data(), tensor.shape, *tensor.type->dtype);
}

void require_readable(const OnnxTensor& tensor) {
  if (!tensor.refusal.empty())
    broken_rule(ErrorCode::unsupported, fmt::format("{}: {}", shown(tensor.name), tensor.refusal));
}

void require_count(std::string_view what, const OnnxTensor& tensor, std::int64_t count) {
  if (tensor.shape.numel() != count)
    broken_rule(ErrorCode::invalid_file, fmt::format("its {} {} are not {}", what, to_string(tensor.shape), count));
}

/// The inputs' part that both operations have: codes, scales and zero points.
Unpacking constants_of(const OnnxFile& file, const OnnxNode& node, std::size_t first) {
  Unpacking layer{.codes = file.input_of(node, first), .scales = file.input_of(node, first + 1)};
  if (!layer.scales) broken_rule(ErrorCode::unsupported, "its scales are no constant");
  const bool has_zeros = !node.input(first + 2).empty();
  layer.zeros = has_zeros ? file.input_of(node, first + 2) : nullptr;
  if (has_zeros && !layer.zeros) broken_rule(ErrorCode::unsupported, "its zero points are no constant");
  for (const OnnxTensor* tensor : {layer.codes, layer.scales, layer.zeros}) {
    if (tensor) require_readable(*tensor);
  }
  if (layer.codes->shape.numel() == 0) broken_rule(ErrorCode::invalid_file, "has no weights");
  return layer;
}

std::int64_t size_attribute(const OnnxNode& node, std::string_view name, std::optional<std::int64_t> otherwise = {}) {
  const auto value = node.attribute(name);
  if (!value && otherwise) return *otherwise;
  if (!value || *value <= 0 || *value > kLargestSize)
    broken_rule(ErrorCode::invalid_file, fmt::format("{} {} is no size", name, value.value_or(0)));
  return *value;
}

Unpacking of_matmul(const OnnxFile& file, const OnnxNode& node) {
  Unpacking layer = constants_of(file, node, 1);
  if (!node.input(4).empty()) broken_rule(ErrorCode::unsupported, "g_idx is not supported");
  layer.bits = static_cast<int>(size_attribute(node, "bits", 4));
  if (layer.bits != 2 && layer.bits != 4 && layer.bits != 8)
    broken_rule(ErrorCode::unsupported, fmt::format("{} bits are not supported (2, 4 and 8 are)", layer.bits));
  layer.rows = size_attribute(node, "N");
  layer.length = size_attribute(node, "K");
  layer.group = size_attribute(node, "block_size");
  if (layer.length % layer.group != 0)
    broken_rule(ErrorCode::unsupported,
                fmt::format("blocks of {} that do not divide {} are not supported", layer.group, layer.length));
  const std::int64_t groups = layer.length / layer.group;
  if (layer.codes->type->dtype != DType::u8 || layer.codes->bytes.size() * 8 / static_cast<std::size_t>(layer.bits) !=
                                                   static_cast<std::size_t>(layer.rows * layer.length))
    broken_rule(ErrorCode::invalid_file,
                fmt::format("{} {} do not hold {} codes of {} bits for each of {}", layer.codes->type->name,
                            to_string(layer.codes->shape), layer.length, layer.bits, layer.rows));
  require_count("scales", *layer.scales, layer.rows * groups);
  layer.row_step = groups;
  layer.group_step = 1;
  layer.default_zero = layer.half();
  layer.zero_row_bits = (groups * layer.bits + 7) / 8 * 8;
  if (layer.zeros && layer.zeros->type->dtype != DType::u8)
    broken_rule(ErrorCode::unsupported, fmt::format("zero points of {} are not supported", layer.zeros->type->name));
  if (layer.zeros) require_count("zero points", *layer.zeros, layer.rows * layer.zero_row_bits / 8);
  return layer;
}

Unpacking of_dequantize(const OnnxFile& file, const OnnxNode& node) {
  Unpacking layer = constants_of(file, node, 0);
  const OnnxTensor &codes = *layer.codes, &scales = *layer.scales;
  layer.bits = codes.type->bits;
  if (!codes.type->is_whole || codes.type->bits > 8)
    broken_rule(
        ErrorCode::unsupported,
        fmt::format("DequantizeLinear of {} is not supported (int8, uint8, int4 and uint4 are)", codes.type->name));
  if (codes.shape.rank() != 2)
    broken_rule(ErrorCode::unsupported,
                fmt::format("{} {}: only matrices are", codes.type->name, to_string(codes.shape)));
  std::int64_t axis = node.attribute("axis").value_or(1);
  if (axis < 0) axis += 2;
  if (axis != 0 && axis != 1) broken_rule(ErrorCode::invalid_file, "axis is none of a matrix");
  const std::int64_t block = node.attribute("block_size").value_or(0);
  if (block < 0) broken_rule(ErrorCode::invalid_file, fmt::format("block_size {} is negative", block));
  const bool is_one = scales.shape.numel() == 1;
  // A scale for each column, or for blocks of rows: then columns are what is packed.
  layer.is_transposed = !is_one && (block > 0 ? axis == 0 : axis == 1);
  layer.rows = codes.shape[layer.is_transposed ? 1 : 0];
  layer.length = codes.shape[layer.is_transposed ? 0 : 1];
  layer.group = block > 0 ? block : layer.length;
  if (layer.length % layer.group != 0)
    broken_rule(ErrorCode::unsupported,
                fmt::format("blocks of {} that do not divide {} are not supported", layer.group, layer.length));
  const std::int64_t groups = layer.length / layer.group;
  if (!is_one || layer.rows * groups == 1) require_count("scales", scales, layer.rows * groups);
  if (!is_one) {
    layer.row_step = layer.is_transposed ? 1 : groups;
    layer.group_step = layer.is_transposed ? layer.rows : 1;
  }
  layer.default_zero = layer.is_signed() ? layer.half() : 0;
  layer.zero_row_bits = layer.row_step * layer.bits;
  if (layer.zeros && layer.zeros->type != codes.type)
    broken_rule(ErrorCode::invalid_file,
                fmt::format("its zero points are {}, not {}", layer.zeros->type->name, codes.type->name));
  if (layer.zeros) require_count("zero points", *layer.zeros, scales.shape.numel());
  return layer;
}

/// Numbers of DequantizeLinear that no packed format has: of any rank, of blocks of any size.
struct Spread {
  const OnnxTensor *codes = nullptr, *scales = nullptr, *zeros = nullptr;
  std::int64_t size = 1, inner = 1;  // of the axis that scales go along; of what is after it
  std::int64_t block = 0, blocks = 1;

  bool operator==(const Spread&) const = default;

  std::int64_t scale_at(std::int64_t i) const {
    if (scales->shape.numel() == 1) return 0;
    const std::int64_t along = i / inner % size;
    return block == 0 ? along : (i / inner / size * blocks + along / block) * inner + i % inner;
  }
};

void require_float(const OnnxTensor& scales) {
  const auto dtype = scales.type->dtype;
  if (!dtype || !is_arithmetic_float(*dtype))
    broken_rule(ErrorCode::unsupported, fmt::format("scales of {} are not supported", scales.type->name));
}

Spread of_spread(const OnnxFile& file, const OnnxNode& node) {
  const Unpacking parts = constants_of(file, node, 0);
  Spread layer{.codes = parts.codes, .scales = parts.scales, .zeros = parts.zeros};
  const OnnxType& type = *layer.codes->type;
  const Shape& shape = layer.codes->shape;
  if (!type.is_whole || type.bits > 32)
    broken_rule(ErrorCode::unsupported, fmt::format("DequantizeLinear of {} is not supported", type.name));
  require_float(*layer.scales);
  std::int64_t axis = node.attribute("axis").value_or(1);
  if (layer.scales->shape.numel() != 1) {
    if (axis < 0) axis += shape.rank();
    if (axis < 0 || axis >= shape.rank()) broken_rule(ErrorCode::invalid_file, "axis is none of its shape");
    layer.size = shape[static_cast<int>(axis)];
    for (int after = static_cast<int>(axis) + 1; after < shape.rank(); ++after) layer.inner *= shape[after];
    layer.block = node.attribute("block_size").value_or(0);
    if (layer.block < 0) broken_rule(ErrorCode::invalid_file, fmt::format("block_size {} is negative", layer.block));
    if (layer.block > 0) layer.blocks = (layer.size - 1) / layer.block + 1;
    require_count("scales", *layer.scales, layer.block == 0 ? layer.size : shape.numel() / layer.size * layer.blocks);
  }
  if (layer.zeros && layer.zeros->type != &type)
    broken_rule(ErrorCode::invalid_file,
                fmt::format("its zero points are {}, not {}", layer.zeros->type->name, type.name));
  if (layer.zeros) require_count("zero points", *layer.zeros, layer.scales->shape.numel());
  return layer;
}

/// Element i of whole numbers.
std::int64_t element(const OnnxTensor& tensor, std::int64_t i) {
  const int bits = tensor.type->bits;
  std::uint64_t value = 0;
  std::memcpy(&value, tensor.bytes.data() + i * bits / 8, static_cast<std::size_t>((bits + 7) / 8));
  if (bits < 8) value >>= i * bits % 8;
  value <<= 64 - bits;
  return tensor.type->is_signed ? static_cast<std::int64_t>(value) >> (64 - bits)
                                : static_cast<std::int64_t>(value >> (64 - bits));
}

Tensor values_of(const OnnxFile& file, const Spread& from) {
  const std::vector<float> scales = as_floats(whole_tensor(file, *from.scales));
  std::vector<float> values(static_cast<std::size_t>(from.codes->shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int64_t at = from.scale_at(static_cast<std::int64_t>(i));
    const std::int64_t zero = from.zeros ? element(*from.zeros, at) : 0;
    values[i] = static_cast<float>(element(*from.codes, static_cast<std::int64_t>(i)) - zero) *
                scales[static_cast<std::size_t>(at)];
  }
  return from_data<float>(values, from.codes->shape);
}

/// Bytes of codes, row by row, as unsigned numbers, or as they are.
std::shared_ptr<std::vector<std::byte>> rows_of(const Unpacking& layer, unsigned flip) {
  const std::int64_t each = 8 / layer.bits;
  auto out = std::make_shared<std::vector<std::byte>>(layer.codes->bytes.size());
  for (std::int64_t row = 0; row < layer.rows; ++row) {
    for (std::int64_t k = 0; k < layer.length; ++k) {
      const std::int64_t from = layer.is_transposed ? k * layer.rows + row : row * layer.length + k,
                         to = row * layer.length + k;
      const unsigned code = layer.number(layer.codes->bytes, from * layer.bits) ^ layer.flip() ^ flip;
      (*out)[static_cast<std::size_t>(to / each)] |= static_cast<std::byte>(code << (to % each * layer.bits));
    }
  }
  return out;
}

/// Signed bytes without zero points, which int8 holds as they are.
bool is_plain_int8(const Unpacking& layer) {
  const int wide = find_format_info("int8")->group_size;
  if (layer.bits != 8 || !layer.is_signed() || layer.length % wide != 0 || layer.group % wide != 0) return false;
  return !layer.zeros || std::ranges::all_of(layer.zeros->bytes, [](char zero) { return zero == 0; });
}

struct Packed {
  PackedLayer layer;
  ZeroPointLayer zeros;
  bool is_int8 = false;
};

Packed describe(const Unpacking& from) {
  require_float(*from.scales);
  const DType scales = *from.scales->type->dtype;
  if (is_plain_int8(from)) return {{find_format_info("int8"), {from.rows, from.length}, scales}, {}, true};
  ZeroPointLayer zeros{.bits = from.bits, .group = from.group, .zero = {}, .takes_f32 = true};
  if (!from.zeros) zeros.zero = from.default_zero;
  return {describe_zero_points(zeros, from.rows, from.length, scales), zeros};
}

Components components_of(const OnnxFile& file, const Unpacking& from, const Packed& packed) {
  const std::vector<float> scales = as_floats(whole_tensor(file, *from.scales));
  const auto scale_at = [&](std::int64_t row, std::int64_t g) {
    return scales[static_cast<std::size_t>(from.scale_at(row, g))];
  };
  const std::int64_t length = packed.layer.shape[1], group = packed.layer.format->group_size;
  if (packed.is_int8) {
    std::vector<float> repeated;
    for (std::int64_t row = 0; row < from.rows; ++row) {
      for (std::int64_t k = 0; k < length; k += group) repeated.push_back(scale_at(row, k / from.group));
    }
    const auto bytes = rows_of(from, 0);
    return {{"codes", from_borrowed(bytes, bytes->data(), packed.layer.shape, DType::u8)},
            {"scales", cast(from_data<float>(repeated, {from.rows, length / group}), packed.layer.dtype)}};
  }
  const Shape words{from.rows, length * from.bits / 32};
  Tensor codes;
  if (from.is_transposed || from.is_signed()) {
    const auto bytes = rows_of(from, from.flip());
    codes = from_borrowed(bytes, bytes->data(), words, DType::u32);
  } else {
    codes = from_borrowed(file.files()[from.codes->file], from.codes->bytes.data(), words, DType::u32);
  }
  return zero_point_components(packed.zeros, packed.layer, codes, scale_at,
                               [&](std::int64_t row, std::int64_t g) { return from.zero_at(row, g); });
}

class OnnxSource final : public WeightSource {
 public:
  explicit OnnxSource(const std::filesystem::path& path) : file_(path) {
    for (const auto& file : file_.files()) files_.push_back(file->path());
    for (const OnnxNode& node : file_.nodes()) add_node(node);
    for (const OnnxTensor& tensor : file_.tensors()) {
      if (!beside_codes_.contains(&tensor)) add(tensor);
    }
    sort_by_name(recipes_);
    require_names_once();
  }

  Tensor get(std::size_t i) const override {
    const OnnxTensor& tensor = *recipes_[i];
    return naming(file_.path(), tensors_[i].name, [&] {
      require_readable(tensor);
      if (const auto refusal = refusals_.find(&tensor); refusal != refusals_.end())
        broken_rule(ErrorCode::unsupported, refusal->second);
      if (const auto spread = spreads_.find(&tensor); spread != spreads_.end()) return values_of(file_, spread->second);
      const auto found = unpackings_.find(&tensor);
      if (found == unpackings_.end()) {
        if (!tensor.type->dtype)
          broken_rule(ErrorCode::unsupported, fmt::format("elements of {} are not supported", tensor.type->name));
        return whole_tensor(file_, tensor);
      }
      const Packed packed = describe(found->second);
      const Tensor rows = from_components(packed.layer.format->name, components_of(file_, found->second, packed),
                                          packed.layer.shape, packed.layer.dtype);
      return found->second.is_transposed ? transpose(rows) : rows;
    });
  }

  using WeightSource::forget;
  void forget(std::span<const std::byte> bytes) const override {
    for (const auto& file : file_.files()) file->forget(bytes);
  }
  std::size_t file_of(std::size_t i) const override { return recipes_[i]->file; }

 private:
  void add_node(const OnnxNode& node) {
    const bool is_matmul = node.operation == "MatMulNBits";
    const OnnxTensor* codes = file_.input_of(node, is_matmul ? 1 : 0);
    if (!codes) return;  // an activation's
    naming(file_.path(), codes->name, [&] {
      const auto refusal = unsupported([&] {
        const Unpacking layer = is_matmul ? of_matmul(file_, node) : of_dequantize(file_, node);
        describe(layer);
        keep(layer, &unpackings_);
      });
      if (!refusal) return;
      const auto second = is_matmul ? refusal : unsupported([&] { keep(of_spread(file_, node), &spreads_); });
      if (second) refusals_.emplace(codes, *second);  // of this tensor alone
    });
  }

  /// Why not, where `step` says that something is not supported.
  template <class Step>
  static std::optional<std::string> unsupported(Step step) {
    try {
      step();
      return {};
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
      return error.what();
    }
  }

  template <class Layer>
  void keep(const Layer& layer, std::map<const OnnxTensor*, Layer>* layers) {
    const auto [known, is_new] = layers->emplace(layer.codes, layer);
    const bool is_both = unpackings_.contains(known->first) && spreads_.contains(known->first);
    if (is_both || (!is_new && known->second != layer)) broken_rule(ErrorCode::invalid_file, "is unpacked in two ways");
    beside_codes_.insert(layer.scales);
    if (layer.zeros) beside_codes_.insert(layer.zeros);
  }

  /// What stands in a graph inside may be called what something of the model's own is.
  void require_names_once() const {
    const auto twice = std::ranges::adjacent_find(tensors_, {}, &TensorInfo::name);
    if (twice != tensors_.end()) bad_file(file_.path(), twice->name, "name is there twice");
  }

  void add(const OnnxTensor& tensor) {
    TensorInfo info{.name = file_.full_name(tensor),
                    .shape = tensor.shape,
                    .dtype = tensor.type->dtype.value_or(DType::f32),
                    .format = std::string(tensor.type->dtype ? nibble::name(*tensor.type->dtype) : tensor.type->name),
                    .bytes = tensor.bytes.size()};
    if (const auto found = unpackings_.find(&tensor); found != unpackings_.end()) {
      const Unpacking& from = found->second;
      const Packed packed = describe(from);
      info.shape = packed.layer.shape;
      if (from.is_transposed) std::swap(info.shape[0], info.shape[1]);
      info.dtype = packed.layer.dtype;
      info.format = packed.layer.format->name;
      info.bytes += from.scales->bytes.size() + (from.zeros ? from.zeros->bytes.size() : 0);
      info.packed = true;
      info.transposed = from.is_transposed;
    }
    if (spreads_.contains(&tensor)) info.dtype = DType::f32, info.format = nibble::name(DType::f32);
    if (refusals_.contains(&tensor)) info.packed = true, info.format = tensor.type->name;
    tensors_.push_back(std::move(info));
    recipes_.push_back(&tensor);
  }

  OnnxFile file_;
  std::map<const OnnxTensor*, Unpacking> unpackings_;  // by the codes
  std::map<const OnnxTensor*, Spread> spreads_;
  std::map<const OnnxTensor*, std::string> refusals_;  // likewise
  std::set<const OnnxTensor*> beside_codes_;
  std::vector<const OnnxTensor*> recipes_;
};

}  // namespace

std::unique_ptr<WeightSource> open_onnx_weights(const std::filesystem::path& path) {
  return std::make_unique<OnnxSource>(path);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
