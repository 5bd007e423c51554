#include "adapters/files/onnx_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "adapters/files/file_error.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

namespace fs = std::filesystem;

// Numbers of the fields of onnx.proto that are read.
namespace model_field {
enum : std::uint64_t { graph = 7 };
}
namespace graph_field {
enum : std::uint64_t { node = 1, initializer = 5 };
}
namespace node_field {
enum : std::uint64_t { input = 1, output = 2, name = 3, op_type = 4, attribute = 5 };
}
namespace attribute_field {
enum : std::uint64_t { name = 1, i = 3, t = 5, g = 6 };
}
namespace tensor_field {
enum : std::uint64_t {
  dims = 1,
  data_type = 2,
  float_data = 4,
  int32_data = 5,
  string_data = 6,
  int64_data = 7,
  name = 8,
  raw_data = 9,
  double_data = 10,
  uint64_data = 11,
  external_data = 13,
  data_location = 14
};
constexpr std::int64_t kExternal = 1;  // a data_location
}  // namespace tensor_field
namespace entry_field {
enum : std::uint64_t { key = 1, value = 2 };
}

/// By TensorProto.DataType.
constexpr OnnxType kOnnxTypes[] = {
    {"undefined"},
    {"float", 32, DType::f32},
    {"uint8", 8, DType::u8, true},
    {"int8", 8, DType::i8, true, true},
    {"uint16", 16, DType::u16, true},
    {"int16", 16, DType::i16, true, true},
    {"int32", 32, DType::i32, true, true},
    {"int64", 64, DType::i64, true, true},
    {"string"},
    {"bool", 8, DType::boolean},
    {"float16", 16, DType::f16},
    {"double", 64, DType::f64},
    {"uint32", 32, DType::u32, true},
    {"uint64", 64, DType::u64, true},
    {"complex64", 64},
    {"complex128", 128},
    {"bfloat16", 16, DType::bf16},
    {"float8e4m3fn", 8, DType::f8_e4m3},
    {"float8e4m3fnuz", 8},
    {"float8e5m2", 8, DType::f8_e5m2},
    {"float8e5m2fnuz", 8},
    {"uint4", 4, {}, true},
    {"int4", 4, {}, true, true},
    {"float4e2m1", 4},
};

/// What is kept of a node: more inputs and whole numbers than these has none that unpacks.
constexpr std::size_t kMostInputs = 8, kMostAttributes = 16;
/// If has two graphs, Loop and Scan have one.
constexpr std::size_t kMostGraphs = 16, kDeepestGraph = 16;

/// Where tensors are looked for.
auto place_of(const OnnxTensor& tensor) { return std::pair(tensor.graph, tensor.name); }

}  // namespace

/// Where a file says that elements are.
struct OnnxFile::Outside {
  std::optional<std::string_view> location, offset, length;
};

/// A message's fields, one after the other, as protobuf lays them out. (Its library would do, were it not that
/// libsentencepiece has an older one in it, and that the two in one process get in each other's way.)
class OnnxFile::Message {
 public:
  Message(const fs::path& file, std::string_view bytes) : file_(file), rest_(bytes) {}

  /// False at the end.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint(&rest_);
    field_ = tag >> 3;
    wire_ = static_cast<Wire>(tag & 7);
    switch (wire_) {
      case Wire::varint: integer_ = varint(&rest_); break;
      case Wire::fixed64: bytes_ = take(8); break;
      case Wire::fixed32: bytes_ = take(4); break;
      case Wire::bytes: bytes_ = take(varint(&rest_)); break;
      default: damaged();
    }
    return true;
  }
  std::uint64_t field() const { return field_; }
  bool is_bytes() const { return wire_ == Wire::bytes; }

  std::int64_t integer() const {
    if (wire_ != Wire::varint) damaged();
    return static_cast<std::int64_t>(integer_);
  }
  std::string_view bytes() const {
    if (wire_ != Wire::bytes) damaged();
    return bytes_;
  }
  /// Of integers that may stand one by one or together; calls `use` for each.
  template <class Use>
  void integers(Use use) const {
    if (!is_bytes()) return use(integer());
    for (std::string_view packed = bytes_; !packed.empty();) use(static_cast<std::int64_t>(varint(&packed)));
  }

 private:
  enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) damaged();
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  /// Seven bits a byte, the lowest first; the eighth says that there are more.
  std::uint64_t varint(std::string_view* from) const {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !from->empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(from->front());
      from->remove_prefix(1);
      value |= std::uint64_t{byte & 127u} << shift;
      if (byte < 128) return value;
    }
    damaged();
  }
  [[noreturn]] void damaged() const { bad_file(file_, "", "is damaged, or is no ONNX model: fields do not fit"); }

  const fs::path& file_;
  std::string_view rest_, bytes_;
  std::uint64_t field_ = 0, integer_ = 0;
  Wire wire_ = Wire::varint;
};

OnnxFile::Message OnnxFile::message(std::string_view bytes) const { return {path(), bytes}; }

OnnxFile::OnnxFile(const fs::path& path) : files_{MappedFile::open(path)} {
  const std::string_view text = files_.front()->text();
  bool has_graph = false;
  for (Message model = message(text); model.next();) {
    if (model.field() != model_field::graph) continue;
    if (has_graph) bad_file(path, "", "has two graphs");
    read_graph(model.bytes(), {});
    has_graph = true;
  }
  if (!has_graph) bad_file(path, "", "has no graph: not an ONNX model");
  std::ranges::sort(tensors_, {}, place_of);
  const auto twice = std::ranges::adjacent_find(tensors_, {}, place_of);
  if (twice != tensors_.end()) bad_file(path, twice->name, "name is there twice");
}

const OnnxTensor* OnnxFile::input_of(const OnnxNode& node, std::size_t i) const {
  for (std::size_t graph = node.graph;; graph = graphs_[graph].around) {
    const std::pair place(graph, node.input(i));
    const auto found = std::ranges::lower_bound(tensors_, place, {}, place_of);
    if (found != tensors_.end() && place_of(*found) == place) return &*found;
    if (graph == 0) return nullptr;
  }
}

std::string OnnxFile::full_name(const OnnxTensor& tensor) const {
  std::string name(tensor.name);
  for (std::size_t graph = tensor.graph; graph > 0; graph = graphs_[graph].around)
    name = fmt::format("{}/{}/{}", graphs_[graph].node, graphs_[graph].name, name);
  return name;
}

std::optional<std::int64_t> OnnxNode::attribute(std::string_view wanted) const {
  const auto found = std::ranges::find(attributes, wanted, &Attribute::name);
  return found == attributes.end() ? std::nullopt : std::optional(found->value);
}

void OnnxFile::read_graph(std::string_view bytes, const Graph& as) {
  if (as.depth > kDeepestGraph)
    bad_file(path(), as.node, fmt::format("graphs are inside one another more than {} times", kDeepestGraph));
  const std::size_t own = graphs_.size();
  graphs_.push_back(as);
  require_room();
  for (Message graph = message(bytes); graph.next();) {
    if (graph.field() == graph_field::initializer) read_tensor(graph.bytes(), "", own);
    if (graph.field() == graph_field::node) read_node(graph.bytes(), own);
  }
}

void OnnxFile::read_node(std::string_view bytes, std::size_t graph) {
  OnnxNode node;
  node.graph = graph;
  std::string_view constant, output;
  std::vector<std::pair<std::string_view, std::string_view>> graphs;  // their names and bytes
  for (Message fields = message(bytes); fields.next();) {
    switch (fields.field()) {
      case node_field::name: node.name = fields.bytes(); break;
      case node_field::op_type: node.operation = fields.bytes(); break;
      case node_field::input:
        if (node.inputs.size() < kMostInputs) node.inputs.push_back(fields.bytes());
        break;
      case node_field::output:
        if (output.empty()) output = fields.bytes();
        break;
      case node_field::attribute: {
        std::string_view name;
        std::optional<std::int64_t> integer;
        std::optional<std::string_view> inside;
        for (Message attribute = message(fields.bytes()); attribute.next();) {
          if (attribute.field() == attribute_field::name) name = attribute.bytes();
          if (attribute.field() == attribute_field::i) integer = attribute.integer();
          if (attribute.field() == attribute_field::t) constant = attribute.bytes();
          if (attribute.field() == attribute_field::g) inside = attribute.bytes();
        }
        if (inside && graphs.size() == kMostGraphs) bad_file(path(), node.name, "has too many graphs");
        if (inside) graphs.emplace_back(name, *inside);
        if (integer && node.attributes.size() < kMostAttributes) node.attributes.push_back({name, *integer});
        break;
      }
      default: break;
    }
  }
  for (const auto& [name, inside] : graphs) {
    const Graph& around = graphs_[graph];
    read_graph(inside, {graph, output, name, around.depth + 1, around.name_bytes + output.size() + name.size() + 2});
  }
  if (node.operation == "Constant" && !constant.empty()) return read_tensor(constant, output, graph);
  if (node.operation != "MatMulNBits" && node.operation != "DequantizeLinear") return;
  nodes_.push_back(std::move(node));
  require_room();
}

/// What is known of a constant takes some hundred bytes, and a file can claim one in ten. Names of those in graphs
/// inside are longer than what the file has of them.
void OnnxFile::require_room() const {
  constexpr std::size_t kAlways = 1 << 14, kBytesEach = 128, kNamesAlways = 1 << 20;
  if (tensors_.size() + nodes_.size() + graphs_.size() > kAlways + files_.front()->size() / kBytesEach)
    bad_file(path(), "", "has more tensors and nodes than its size allows");
  if (name_bytes_ > kNamesAlways + files_.front()->size() / 2)
    bad_file(path(), "", "has more tensors in graphs inside one another than its size allows");
}

void OnnxFile::read_tensor(std::string_view bytes, std::string_view name, std::size_t graph) {
  OnnxTensor tensor{.name = name, .graph = graph};
  std::int64_t type = 0, location = 0;
  std::uint64_t count = 1;
  Outside outside;
  for (Message fields = message(bytes); fields.next();) {
    switch (fields.field()) {
      case tensor_field::name:
        if (name.empty()) tensor.name = fields.bytes();
        break;
      case tensor_field::dims:
        fields.integers([&](std::int64_t size) {
          if (size < 0) bad_file(path(), tensor.name, fmt::format("dimension {} is negative", size));
          if (!multiply_sizes(count, static_cast<std::uint64_t>(size), &count))
            bad_file(path(), tensor.name, "shape overflows");
          if (tensor.shape.rank() == kMaxRank)
            bad_file(path(), tensor.name, fmt::format("more than {} axes", kMaxRank));
          tensor.shape.push_back(size);
        });
        break;
      case tensor_field::data_type: type = fields.integer(); break;
      case tensor_field::raw_data:
      case tensor_field::float_data:
      case tensor_field::double_data:
        // Numbers of fixed size that stand together are the elements' bytes.
        if (fields.is_bytes()) tensor.bytes = fields.bytes();
        break;
      case tensor_field::int32_data:
      case tensor_field::int64_data:
      case tensor_field::uint64_data:
      case tensor_field::string_data: tensor.refusal = "its elements are numbers of varying size"; break;
      case tensor_field::data_location: location = fields.integer(); break;
      case tensor_field::external_data: {
        std::string_view key, value;
        for (Message entry = message(fields.bytes()); entry.next();) {
          if (entry.field() == entry_field::key) key = entry.bytes();
          if (entry.field() == entry_field::value) value = entry.bytes();
        }
        if (key == "location") outside.location = value;
        if (key == "offset") outside.offset = value;
        if (key == "length") outside.length = value;
        break;
      }
      default: break;
    }
  }
  if (tensor.name.empty()) bad_file(path(), "", "a tensor has no name");
  if (type < 0 || type >= static_cast<std::int64_t>(std::size(kOnnxTypes)))
    refuse(ErrorCode::unsupported, path(), tensor.name, fmt::format("element type {} is unknown", type));
  tensor.type = &kOnnxTypes[type];
  std::uint64_t bits = 0;
  if (!multiply_sizes(count, static_cast<std::uint64_t>(tensor.type->bits), &bits) || bits > UINT64_MAX - 7)
    bad_file(path(), tensor.name, "shape overflows");
  const std::uint64_t size = (bits + 7) / 8;
  if (location == tensor_field::kExternal) place_outside(outside, size, &tensor);
  if (tensor.type->bits == 0) tensor.refusal = "elements of that type are not supported";
  if (tensor.refusal.empty() && tensor.bytes.size() != size)
    bad_file(path(), tensor.name,
             fmt::format("{} {} needs {} bytes, and {} are there", tensor.type->name, to_string(tensor.shape), size,
                         tensor.bytes.size()));
  tensors_.push_back(tensor);
  name_bytes_ += graphs_[graph].name_bytes;
  require_room();
}

void OnnxFile::place_outside(const Outside& where, std::uint64_t size, OnnxTensor* tensor) {
  const auto number = [&](const std::optional<std::string_view>& text, std::uint64_t otherwise) {
    if (!text) return otherwise;
    std::uint64_t value = 0;
    const auto result = std::from_chars(text->data(), text->data() + text->size(), value);
    if (result.ec != std::errc() || result.ptr != text->data() + text->size())
      bad_file(path(), tensor->name, fmt::format("{} is no place in another file", shown(*text)));
    return value;
  };
  if (!where.location) bad_file(path(), tensor->name, "is in another file, but no location is given");
  tensor->file = file_at(std::string(*where.location), tensor->name);
  const std::string_view text = files_[tensor->file]->text();
  const std::uint64_t offset = number(where.offset, 0), length = number(where.length, size);
  if (offset > text.size() || length > text.size() - offset)
    bad_file(path(), tensor->name,
             fmt::format("{} bytes from {} on are out of range: {} has {}", length, offset, shown(*where.location),
                         text.size()));
  tensor->bytes = text.substr(offset, length);
}

/// A file in the model's folder or below it, and no other.
std::size_t OnnxFile::file_at(const std::string& location, std::string_view tensor) {
  const fs::path relative(location);
  const bool leaves = std::ranges::any_of(relative, [](const fs::path& part) { return part == ".."; });
  if (location.empty() || location.find('\0') != location.npos || relative.is_absolute() || leaves)
    bad_file(path(), tensor, fmt::format("{} is not the name of a file in the folder", shown(location)));
  const fs::path file = path().parent_path() / relative;
  const auto known = std::ranges::find(files_, file, &MappedFile::path);
  if (known != files_.end()) return static_cast<std::size_t>(known - files_.begin());
  if (!fs::exists(file)) bad_file(path(), tensor, fmt::format("{} is not there", shown(location)));
  files_.push_back(MappedFile::open(file));
  return files_.size() - 1;
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
