#include "adapters/files/folder_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "adapters/files/atomic_file.h"
#include "adapters/files/checkpoint_access.h"
#include "adapters/files/config_write.h"
#include "adapters/files/expert_stacks.h"
#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/mapped_file.h"
#include "adapters/files/packed_pieces.h"
#include "adapters/files/packer.h"
#include "adapters/files/paths.h"
#include "adapters/files/safetensors.h"
#include "adapters/files/tokenizer_write.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 9> kTokenizerFiles{
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json",     "merges.txt",      "chat_template.jinja",   "chat_template.json"};

/// Whether `inner` is `outer` or lies in it.
bool lies_inside(const fs::path& inner, const fs::path& outer) {
  std::error_code ignored;
  const fs::path way = fs::weakly_canonical(inner, ignored).lexically_relative(fs::weakly_canonical(outer, ignored));
  return !way.empty() && *way.begin() != "..";
}

/// What an earlier run wrote may be replaced where that is asked for, never a folder that holds something else: so a
/// folder that may not is refused before anybody is told of --force.
const fs::path& replaceable(const fs::path& out, const Checkpoint& checkpoint) {
  std::error_code ignored;
  if (!fs::is_directory(out, ignored) || fs::is_empty(out, ignored)) return out;
  if (lies_inside(checkpoint.path(), out))
    refuse(ErrorCode::io_error, out, "", fmt::format("holds {} itself: not replaced", checkpoint.path().string()));
  if (!fs::exists(out / "config.json"))
    refuse(ErrorCode::io_error, out, "",
           "exists already and is not a model's folder (it has no config.json): not replaced");
  return out;
}

bool has_numbers_of_rows(std::string_view format) {
  return std::ranges::any_of(find_format_info(format)->components, &ComponentInfo::of_row);
}

/// A component that each row has, in whose file each matrix has it.
Tensor of_matrices(const std::string& name, const Tensor& rows) {
  const std::int64_t matrix = rows.size(-2), count = rows.numel() / std::max<std::int64_t>(1, matrix);
  const std::vector<float> all = rows.to_vector<float>();
  for (std::int64_t i = 0; i < count * matrix; ++i) {
    const auto at = static_cast<std::size_t>(i), first = static_cast<std::size_t>(i / matrix * matrix);
    if (all[at] != all[first])
      throw Error(ErrorCode::unsupported,
                  fmt::format("[write] {}: its rows differ where a matrix has one number", name));
  }
  return reshape(slice(rows, -2, 0, 1), {count});
}

/// A format's part of config.json.
MlxPacking::Layer layer_of(const FormatInfo& format) {
  return {.packed = true,
          .params = {.bits = format.bits, .group_size = format.group_size},
          .mode = format.mode,
          .version = format.mode_version};
}

/// Whether config.json names it for whole tensors.
bool is_configured(const FormatInfo& format) { return !format.mode.empty() && !has_numbers_of_rows(format.name); }
bool is_of_mlx(const FormatInfo& format) { return is_configured(format) && format.mode_version == 0; }

constexpr Container kModelFolder{"a model folder", is_configured};
constexpr Container kMlxFolder{"a folder of MLX's formats", is_of_mlx};
constexpr Container kSafetensors{"a safetensors folder", [](const FormatInfo&) { return true; }};

class FolderWriter {
 public:
  FolderWriter(const Checkpoint& checkpoint, const fs::path& out, const FolderOptions& options)
      : checkpoint_(checkpoint),
        source_(CheckpointAccess::source(checkpoint)),
        options_(options),
        out_(replaceable(out, checkpoint), options.force) {
    say_in(options.plan ? kModelFolder : container(), out, &options_);
  }

  std::vector<std::string> write() {
    refuse_unknown_packers(checkpoint_);
    decide();
    write_configs();  // first, as they are soon refused
    write_tokenizer();
    for (std::size_t f = 0; f < source_.files().size(); ++f) write_weights(f);
    if (source_.files().size() > 1) write_index();
    report(source_.tensors().size(), "");
    out_.commit();
    return std::move(losses_);
  }

 private:
  std::optional<DType> model_dtype() const {
    if (options_.dtype) return options_.dtype;
    if (checkpoint_.is_gguf()) return options_.kind == FolderKind::plain ? std::optional(DType::bf16) : std::nullopt;
    try {
      return checkpoint_.config().dtype;
    } catch (const Error&) {
      return {};  // an architecture that nobody here knows; its tensors say for themselves
    }
  }

  /// Then all of the folder's tensors stay the bytes that they are, and its configuration what it says of them.
  bool keeps_method() const {
    return options_.kind == FolderKind::safetensors && CheckpointAccess::has_packer(checkpoint_) && !options_.plan &&
           !options_.dequantize && !options_.dtype;
  }

  const Container& container() const { return options_.kind == FolderKind::safetensors ? kSafetensors : kMlxFolder; }

  Storage decide(const TensorInfo& tensor) const {
    using enum Storage::Way;
    if (keeps_method()) return {as_stored, nullptr, tensor.dtype};
    const auto dtype = model_dtype();
    const FormatInfo* planned = options_.plan ? options_.plan->becomes(tensor) : nullptr;
    if (planned) return {packed, planned, packable_dtype(dtype.value_or(tensor.packed ? DType::bf16 : tensor.dtype))};
    const bool stays = options_.kind == FolderKind::plain && (!tensor.reordered || options_.dequantize);
    if (!stays) return lossless_storage(checkpoint_, tensor, container(), options_);
    if (tensor.packed && !tensor.transposed && has_mode(tensor.format) && !options_.dequantize)
      return {kept, find_format_info(tensor.format), options_.dtype ? packable_dtype(*options_.dtype) : tensor.dtype};
    const bool follows = tensor.packed || (is_floating(tensor.dtype) && (options_.dtype || checkpoint_.is_gguf()));
    return {dense, nullptr, follows ? dtype.value_or(tensor.dtype) : tensor.dtype};
  }

  void decide() {
    if (options_.plan) options_.plan->require_globs_to_match(source_.tensors());
    for (const TensorInfo& tensor : source_.tensors()) {
      decisions_.push_back(decide(tensor));
      if (const FormatInfo* format = decisions_.back().format) note_packing(tensor, *format);
    }
    if (packing_.present) settle_packing();
  }

  void note_packing(const TensorInfo& tensor, const FormatInfo& format) {
    is_packed_ = true;
    if (format.mode.empty()) return;  // noted in the file that holds it
    packing_.present = true;
    packing_.overrides.emplace(stem_of(tensor.name), layer_of(format));
  }

  /// What most layers have stands once; the others stand as overrides. Layers without scales need no word.
  void settle_packing() {
    if (options_.plan) {
      packing_.everywhere = layer_of(*find_format_info(options_.plan->format));
    } else {
      std::map<MlxPacking::Layer, int> count;
      int most = 0;
      for (const auto& [path, layer] : packing_.overrides) {
        const int n = ++count[layer];
        if (n > most) {
          most = n;
          packing_.everywhere = layer;
        }
      }
    }
    std::erase_if(packing_.overrides, [&](const auto& entry) { return entry.second == packing_.everywhere; });
  }

  std::string file_name(std::size_t f) const {
    return source_.files().size() == 1 ? "model.safetensors" : source_.files()[f].filename().string();
  }

  /// Names, dtypes and shapes of what a tensor is stored as, before it is loaded.
  std::vector<TensorDeclaration> declare(std::size_t i) const {
    const TensorInfo& tensor = source_.tensors()[i];
    const Storage& decision = decisions_[i];
    if (decision.way == Storage::Way::as_stored) return declare_stored(i);
    if (!decision.format) return declare_dense(tensor, decision.dtype);
    const FormatInfo& format = *decision.format;
    std::vector<TensorDeclaration> pieces;
    for (const ComponentInfo& component : format.components) {
      Shape shape = tensor.shape;
      shape[shape.rank() - 1] = tensor.shape.back() / format.block * component.width;
      if (component.of_row)
        shape = {
            Shape(std::span<const std::int64_t>(tensor.shape).first(static_cast<std::size_t>(tensor.shape.rank() - 2)))
                .numel()};
      pieces.push_back({piece_name(tensor.name, component.name), component.dtype.value_or(decision.dtype), shape});
    }
    return pieces;
  }

  std::vector<TensorDeclaration> declare_stored(std::size_t i) const {
    std::vector<TensorDeclaration> parts;
    for (const auto& [name, part] : source_.stored(i)) parts.push_back({name, part.dtype(), part.shape()});
    return parts;
  }

  std::vector<TensorDeclaration> declare_dense(const TensorInfo& tensor, DType dtype) const {
    if (!stands_one_by_one(tensor)) return {{tensor.name, dtype, tensor.shape}};
    const Shape one(std::span<const std::int64_t>(tensor.shape).subspan(1));
    std::vector<TensorDeclaration> experts;
    for (std::int64_t e = 0; e < tensor.shape[0]; ++e) experts.push_back({expert_name(tensor.name, e), dtype, one});
    return experts;
  }

  /// Packed experts are for mlx-lm, which reads them stacked; dense ones are for transformers too, which does not.
  bool stands_one_by_one(const TensorInfo& tensor) const {
    return !is_packed_ && has_expert_stacks(checkpoint_.architecture()) && is_expert_stack(tensor.name);
  }

  /// What `declare` has declared.
  void write_tensor(std::size_t i, SafetensorsWriter* writer) const {
    if (decisions_[i].way == Storage::Way::as_stored) return write_stored(i, writer);
    const TensorInfo& info = source_.tensors()[i];
    const bool one_by_one = stands_one_by_one(info);
    std::int64_t expert = 0;
    for (const Tensor& part : one_by_one ? experts(i) : source_.parts(i)) {
      const std::string name = one_by_one ? expert_name(info.name, expert++) : info.name;
      const std::set<std::string> of_rows = write_numbers_of_rows(name, part, decisions_[i], writer);
      for_each_block(part, 1, [&](const Tensor& block) {
        for (const auto& [piece_name, piece] : stored_pieces(name, stored(block, decisions_[i]))) {
          if (!of_rows.contains(piece_name)) writer->append(piece_name, piece);
        }
        source_.forget(block);
      });
    }
  }

  void write_stored(std::size_t i, SafetensorsWriter* writer) const {
    for (const auto& [name, part] : source_.stored(i)) {
      writer->append(name, part);
      source_.forget(part);
    }
  }

  /// Returns the names of those pieces.
  static std::set<std::string> write_numbers_of_rows(const std::string& name, const Tensor& part,
                                                     const Storage& decision, SafetensorsWriter* writer) {
    std::set<std::string> written;
    if (decision.way != Storage::Way::kept) return written;
    const PackingView view = packing_of(part);
    for (std::size_t c = 0; c < view.format.components.size(); ++c) {
      if (!view.format.components[c].of_row) continue;
      const auto& [component, tensor] = view.components[c];
      written.insert(piece_name(name, component));
      writer->append(piece_name(name, component), of_matrices(name, tensor));
    }
    return written;
  }

  std::vector<Tensor> experts(std::size_t i) const {
    std::vector<Tensor> parts = source_.parts(i);
    const Shape& shape = source_.tensors()[i].shape;
    if (parts.front().ndim() < shape.rank()) return parts;
    std::vector<Tensor> experts;
    for (std::int64_t e = 0; e < shape[0]; ++e) experts.push_back(select(parts.front(), 0, e));
    return experts;
  }

  void write_weights(std::size_t f) {
    std::vector<TensorDeclaration> declarations;
    for (std::size_t i = 0; i < decisions_.size(); ++i) {
      if (source_.file_of(i) != f) continue;
      for (TensorDeclaration& declaration : declare(i)) {
        std::uint64_t bytes = itemsize(declaration.dtype) * static_cast<std::uint64_t>(declaration.shape.numel());
        weight_map_.emplace_back(declaration.name, file_name(f));
        total_bytes_ += bytes;
        declarations.push_back(std::move(declaration));
      }
    }
    SafetensorsWriter writer(out_.path() / file_name(f), declarations, notes_of(f));
    for (std::size_t i = 0; i < decisions_.size(); ++i) {
      if (source_.file_of(i) != f) continue;
      const TensorInfo& info = source_.tensors()[i];
      report(done_++, info.name);
      write_tensor(i, &writer);
    }
    writer.finish();
  }

  /// What no configuration says: which of nibble's other formats a tensor is in.
  std::map<std::string, std::string> notes_of(std::size_t f) const {
    std::map<std::string, std::string> notes{{"format", packing_.present ? "mlx" : "pt"}};
    for (std::size_t i = 0; i < decisions_.size(); ++i) {
      const Storage& decision = decisions_[i];
      if (source_.file_of(i) != f || !decision.format || !decision.format->mode.empty()) continue;
      notes.insert(packed_note(source_.tensors()[i].name, decision.format->name, decision.dtype));
    }
    return notes;
  }

  void report(std::size_t done, std::string_view name) const {
    if (options_.progress) options_.progress(done, source_.tensors().size(), name);
  }

  void write_index() const {
    nlohmann::json map = nlohmann::json::object();
    for (const auto& [name, file] : weight_map_) map[name] = file;
    const nlohmann::json index{{"metadata", {{"total_size", total_bytes_}}}, {"weight_map", map}};
    write_file(out_.path() / "model.safetensors.index.json", index.dump(2) + "\n");
  }

  void write_configs() {
    std::string config = checkpoint_.config_json();
    if (config.empty()) {
      // A GGUF of an architecture that nobody here knows: what is known of it.
      config = nlohmann::json{{"model_type", checkpoint_.architecture()}}.dump();
      if (checkpoint_.is_gguf()) lose("config.json says no more than the architecture: the rest is not understood");
    }
    write_file(out_.path() / "config.json", rewrite_config(config, checkpoint_.path().string(), model_dtype(),
                                                           keeps_method() ? nullptr : &packing_));
    for (const std::string& name : keeps_method() ? packing_config_files() : std::vector<std::string>())
      copy_if_there(name);
    constexpr const char* kGeneration = "generation_config.json";
    if (checkpoint_.is_gguf()) {
      write_file(out_.path() / kGeneration, write_generation_config(checkpoint_.generation()));
    } else {
      copy_if_there(kGeneration);
    }
  }

  void write_tokenizer() {
    if (!checkpoint_.is_gguf()) {
      for (const char* name : kTokenizerFiles) copy_if_there(name);
      return;
    }
    const TokenizerSource& tokenizer = checkpoint_.tokenizer();
    if (tokenizer.kind == TokenizerSource::Kind::none)
      return lose(fmt::format("neither tokenizer nor chat template are written: {}", tokenizer.unsupported));
    if (const std::size_t count = tokens_not_utf8(tokenizer); count > 0)
      lose(fmt::format("tokens that are not UTF-8: {}; tokenizer.json has U+FFFD in place of what is not", count));
    write_file(out_.path() / "tokenizer.json", write_tokenizer_json(tokenizer));
    write_file(out_.path() / "tokenizer_config.json", write_tokenizer_config(tokenizer));
  }

  fs::path folder() const { return folder_of_model(checkpoint_.path()); }
  /// A file that was cut off is no model's part.
  void copy(const fs::path& file) const {
    const auto mapped = MappedFile::open(file);
    if (file.extension() == ".json") stream_json(mapped->text(), file, [](JsonLeaf&) {});
    write_file(out_.path() / file.filename(), mapped->text());
  }
  void copy_if_there(const std::string& name) const {
    if (fs::exists(folder() / name)) copy(folder() / name);
  }
  void lose(std::string_view what) {
    losses_.push_back(fmt::format("{}: {}", shown(checkpoint_.path().string()), what));
  }

  const Checkpoint& checkpoint_;
  const WeightSource& source_;
  FolderOptions options_;
  AtomicFolder out_;
  std::vector<Storage> decisions_;
  bool is_packed_ = false;  // any tensor
  MlxPacking packing_;
  std::vector<std::string> losses_;
  std::vector<std::pair<std::string, std::string>> weight_map_;
  std::uint64_t total_bytes_ = 0;
  std::size_t done_ = 0;
};

}  // namespace

std::vector<std::string> write_model_folder(const Checkpoint& checkpoint, const fs::path& out,
                                            const FolderOptions& options) {
  return FolderWriter(checkpoint, out, options).write();
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
