#include "adapters/files/folder_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <set>
#include <type_traits>

#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/packed_pieces.h"
#include "adapters/files/safetensors.h"
#include "nibble/ops.h"
#include "nibble/quantization.h"

namespace nibble {
inline namespace v0 {
namespace files {
namespace {

namespace fs = std::filesystem;

/// One piece of a stored tensor.
struct Place {
  std::uint32_t file = 0;
  const SafetensorsEntry* entry = nullptr;
};

/// How tensors()[i] is put together. Dense tensors have `main` alone.
struct Recipe {
  Place main = {};
  std::vector<Place> beside = {};  // the format's other components
  Place order = {};                // kInputOrder
  std::string format = {};         // empty: dense
  std::string refusal = {};        // why get() cannot make it
  std::string layer = {};          // of another packer: what the names of its parts begin with
};

class FolderSource : public WeightSource {
 public:
  FolderSource(std::vector<fs::path> files, const FolderPacking& packing) : packer_(packing.packer) {
    files_ = std::move(files);
    for (const fs::path& file : files_) notes_.push_back(packed_notes(readers_.emplace_back(file).metadata()));
    index_places();
    for (const auto& [name, place] : places_) add(name, place, packing.mlx);
    sort_by_name(recipes_);
  }

  Tensor get(std::size_t i) const override {
    const Recipe& recipe = recipes_[i];
    const TensorInfo& info = tensors_[i];
    if (!recipe.refusal.empty()) refuse(ErrorCode::unsupported, path_of(recipe.main), info.name, recipe.refusal);
    if (!recipe.layer.empty()) {
      return naming(path_of(recipe.main), info.name, [&] {
        return from_components(recipe.format, packer_->read(parts_of(recipe.layer)), info.shape, info.dtype);
      });
    }
    Tensor main = load(recipe.main);
    if (recipe.format.empty()) return main;
    return naming(path_of(recipe.main), info.name, [&] {
      const FormatInfo& format = *find_format_info(recipe.format);
      Components components{{format.components.front().name, main}};
      for (std::size_t c = 0; c < recipe.beside.size(); ++c) {
        const ComponentInfo& component = format.components[c + 1];
        const Tensor loaded = load(recipe.beside[c]);
        components.emplace_back(component.name, component.of_row ? of_rows(loaded, info.shape) : loaded);
      }
      if (recipe.order.entry) components.emplace_back(kInputOrder, load(recipe.order));
      return from_components(recipe.format, components, info.shape, info.dtype);
    });
  }

  std::vector<std::pair<std::string, Tensor>> stored(std::size_t i) const override {
    const Recipe& recipe = recipes_[i];
    std::vector<Place> places{recipe.main};
    if (recipe.layer.empty()) {
      places.insert(places.end(), recipe.beside.begin(), recipe.beside.end());
      places.push_back(recipe.order);
    } else {
      for (const std::string_view part : packer_->parts().subspan(1)) places.push_back(find_part(recipe.layer, part));
    }
    std::vector<std::pair<std::string, Tensor>> all;
    for (const Place& place : places) {
      if (place.entry) all.emplace_back(place.entry->name, load(place));
    }
    return all;
  }

  using WeightSource::forget;
  void forget(std::span<const std::byte> bytes) const override {
    for (const SafetensorsReader& reader : readers_) reader.file().forget(bytes);
  }

  std::size_t file_of(std::size_t i) const override { return recipes_[i].main.file; }

  /// Checks that every tensor is where the index says.
  void check_index(const fs::path& index, std::string_view name, const std::string& file) const {
    const auto found = std::ranges::lower_bound(places_, name, {}, [](const auto& p) { return p.first; });
    if (found == places_.end() || found->first != name || files_[found->second.file].filename() != file) {
      bad_file(index, name, fmt::format("is not in {}, where the index puts it", shown(file)));
    }
  }

 private:
  using NamedPlace = std::pair<std::string_view, Place>;

  void index_places() {
    for (std::uint32_t f = 0; f < readers_.size(); ++f) {
      for (const SafetensorsEntry& entry : readers_[f].entries()) places_.push_back({entry.name, {f, &entry}});
    }
    std::ranges::sort(places_, {}, &NamedPlace::first);
    const auto twice = std::ranges::adjacent_find(places_, {}, &NamedPlace::first);
    if (twice != places_.end())
      bad_file(path_of(std::next(twice)->second), twice->first,
               fmt::format("is in {} too", shown(path_of(twice->second).filename().string())));
  }

  Place find(std::string_view name) const {
    const auto found = std::ranges::lower_bound(places_, name, {}, &NamedPlace::first);
    return found != places_.end() && found->first == name ? found->second : Place{};
  }
  Place find(std::string_view stem, std::string_view part) const { return find(fmt::format("{}.{}", stem, part)); }
  const fs::path& path_of(const Place& place) const { return files_[place.file]; }
  Tensor load(const Place& place) const { return readers_[place.file].tensor(*place.entry); }
  static std::uint64_t bytes_of(const Place& place) { return place.entry ? place.entry->end - place.entry->begin : 0; }

  /// Whether the tensor is a part of a layer that another packer packed; the first part stands for all.
  bool add_part(std::string_view name, const Place& place) {
    if (!packer_) return false;
    for (const std::string_view part : packer_->parts()) {
      const std::string end = packer_->separator() + std::string(part);
      if (!name.ends_with(end)) continue;
      const auto layer = name.substr(0, name.size() - end.size());
      if (!find_part(layer, packer_->parts().front()).entry) continue;
      if (part == packer_->parts().front()) add_layer(layer, place);
      return true;
    }
    return false;
  }

  Place find_part(std::string_view layer, std::string_view part) const {
    return find(fmt::format("{}{}{}", layer, packer_->separator(), part));
  }
  bool is_part(std::string_view part) const { return std::ranges::count(packer_->parts(), part) != 0; }

  void add_layer(std::string_view layer, const Place& place) {
    const std::string name = fmt::format("{}.weight", layer);
    if (!is_part("weight") && find(name).entry)
      bad_file(path_of(place), name, fmt::format("stands beside {}{}", packer_->separator(), packer_->parts().front()));
    const LayerParts parts = parts_of(layer);
    const PackedLayer packed = naming(path_of(place), name, [&] { return packer_->describe(parts); });
    std::uint64_t bytes = 0;
    for (const auto& [part, entry] : parts.entries) bytes += entry->end - entry->begin;
    tensors_.push_back({.name = name,
                        .shape = packed.shape,
                        .dtype = packed.dtype,
                        .format = packed.format->name,
                        .bytes = bytes,
                        .packed = true,
                        .reordered = packed.reordered});
    recipes_.push_back({.main = place, .format = packed.format->name, .layer = std::string(layer)});
  }

  LayerParts parts_of(std::string_view layer) const {
    LayerParts parts;
    for (const std::string_view part : packer_->parts()) {
      if (const Place place = find_part(layer, part); place.entry) parts.entries.emplace(part, place.entry);
    }
    parts.load = [this, layer = std::string(layer)](std::string_view part) { return load(find_part(layer, part)); };
    return parts;
  }

  void add(std::string_view name, const Place& place, const MlxPacking& packing) {
    if (add_part(name, place)) return;
    const auto& notes = notes_[place.file];
    if (const auto note = notes.find(name); note != notes.end()) return add_noted(name, place, note->second);
    if ((packing.present || !notes.empty()) && stands_beside_codes(name)) return;
    const bool is_weight = name.ends_with(".weight");
    const auto stem = stem_of(name);
    if (packing.present && find(stem, "scales").entry) return add_mlx(name, place, packing.of(stem));
    if (packing.present && is_weight && place.entry->dtype == DType::u32)
      bad_file(path_of(place), name, "is packed, but its .scales are missing");
    add_dense(name, place);
    if (is_weight && place.entry->dtype == DType::u32 && find(stem, "scales").entry)
      recipes_.back().refusal =
          "has .scales, as if packed by mlx-lm, but no config.json beside it says how (quantization)";
  }

  bool stands_beside_codes(std::string_view name) const {
    static const std::set<std::string> parts = [] {
      std::set<std::string> all;
      for (const FormatInfo& format : known_formats()) {
        for (const ComponentInfo& component : beside(format)) all.insert(component.name);
      }
      return all;
    }();
    const auto dot = name.rfind('.');
    if (dot != std::string_view::npos && name.substr(dot + 1) == kInputOrder) {
      const auto& notes = notes_[find(name).file];
      const std::string of(name.substr(0, dot));
      return notes.contains(of) || notes.contains(of + ".weight");
    }
    if (dot == std::string_view::npos || !parts.contains(std::string(name.substr(dot + 1)))) return false;
    const auto stem = name.substr(0, dot), part = name.substr(dot + 1);
    if (find(stem, "scales").entry && (find(stem, "weight").entry || find(stem).entry)) return true;
    if (part == "scales") bad_file(path_of(find(name)), name, "has no .weight beside it");
    return false;
  }

  void add_dense(std::string_view name, const Place& place) {
    const SafetensorsEntry& entry = *place.entry;
    tensors_.push_back({.name = std::string(name),
                        .shape = entry.shape,
                        .dtype = entry.dtype,
                        .format = std::string(nibble::name(entry.dtype)),
                        .bytes = bytes_of(place),
                        .packed = false});
    recipes_.push_back({.main = place});
  }

  void add_mlx(std::string_view name, const Place& codes, const MlxPacking::Layer& layer) {
    if (!layer.packed) bad_file(path_of(codes), name, "has .scales, but config.json says that it is not packed");
    if (const FormatInfo* format = choose_format(name, codes, layer)) return add_codes(name, codes, *format);
    const Place scales = find(stem_of(name), "scales");
    tensors_.push_back(
        {.name = std::string(name),
         .shape = check_codes(name, codes, scales, DType::u32, layer.params.bits, layer.params.group_size),
         .dtype = DType::f32,
         .format = layer.mode,
         .bytes = bytes_of(codes) + bytes_of(scales),
         .packed = true});
    recipes_.push_back(
        {.main = codes,
         .refusal = fmt::format("quantization mode {} is not supported ({} are)", shown(layer.mode), known_modes())});
  }

  /// Codes under the tensor's name, with the format's other components beside them.
  void add_codes(std::string_view name, const Place& codes, const FormatInfo& format) {
    Recipe recipe{.main = codes, .format = format.name};
    const Place scales = find(stem_of(name), "scales");
    const Shape shape =
        check_codes(name, codes, scales, *format.components.front().dtype, format.bits, format.group_size);
    DType dtype = DType::f32;
    std::uint64_t bytes = bytes_of(codes);
    for (const ComponentInfo& component : beside(format)) {
      const Place place = find(stem_of(name), component.name);
      if (!place.entry)
        bad_file(path_of(codes), name, fmt::format("is packed, but its .{} are missing", component.name));
      check_beside(name, component, place, scales, shape);
      if (!component.dtype) dtype = place.entry->dtype;
      bytes += bytes_of(place);
      recipe.beside.push_back(place);
    }
    tensors_.push_back({.name = std::string(name),
                        .shape = shape,
                        .dtype = dtype,
                        .format = format.name,
                        .bytes = bytes,
                        .packed = true});
    recipes_.push_back(std::move(recipe));
  }

  static std::span<const ComponentInfo> beside(const FormatInfo& format) {
    return std::span(format.components).subspan(1);
  }

  /// Null for a mode that MLX may have and nibble has not. Of formats that are told apart by what stands beside the
  /// codes, the one that uses the most of it.
  const FormatInfo* choose_format(std::string_view name, const Place& codes, const MlxPacking::Layer& layer) const {
    std::vector<const FormatInfo*> formats = formats_of_mode(layer.mode);
    if (formats.empty()) return nullptr;
    const AffineParams& wanted = layer.params;
    std::erase_if(formats, [&](const FormatInfo* format) {
      return format->bits != wanted.bits || format->group_size != wanted.group_size;
    });
    if (formats.empty())
      refuse(ErrorCode::unsupported, path_of(codes), name,
             fmt::format("bits {} with group_size {} is not supported", wanted.bits, wanted.group_size));
    const auto found = [&](const FormatInfo* format) {
      return std::ranges::all_of(beside(*format), [&](const ComponentInfo& component) {
        return find(stem_of(name), component.name).entry != nullptr;
      });
    };
    const FormatInfo* best = formats.front();
    for (const FormatInfo* format : formats) {
      if (found(format) && format->components.size() > best->components.size()) best = format;
    }
    if (best->mode_version != layer.version)
      refuse(ErrorCode::unsupported, path_of(codes), name,
             fmt::format("version {} of quantization mode {} is not supported ({} is)", layer.version,
                         shown(layer.mode), best->mode_version));
    return best;
  }

  /// The logical shape of codes (…, N, K·bits/32; of bytes K·bits/8) and scales (…, N, K/group).
  Shape check_codes(std::string_view name, const Place& main, const Place& beside, DType stored, int bits,
                    int group) const {
    const fs::path& file = path_of(main);
    const SafetensorsEntry& codes = *main.entry;
    const SafetensorsEntry& scales = *beside.entry;
    const std::string sizes = fmt::format("codes {}, scales {}", to_string(codes.shape), to_string(scales.shape));
    if (codes.dtype != stored)
      bad_file(file, name,
               fmt::format("packed codes are {}, not {}", safetensors_name(codes.dtype), safetensors_name(stored)));
    if (codes.shape.rank() < 2 || scales.shape.rank() != codes.shape.rank())
      bad_file(file, name, fmt::format("{}: ranks do not fit", sizes));
    for (int axis = 0; axis + 1 < codes.shape.rank(); ++axis) {
      if (codes.shape[axis] != scales.shape[axis]) bad_file(file, name, fmt::format("{}: rows do not fit", sizes));
    }
    // Where a tensor is not empty its width is far below this; an empty one may claim anything.
    constexpr std::int64_t kWidest = std::int64_t{1} << 40;
    if (codes.shape.back() > kWidest) bad_file(file, name, "shape overflows");
    const std::int64_t row_bits = codes.shape.back() * 8 * static_cast<std::int64_t>(itemsize(stored));
    const std::int64_t weights = row_bits / bits;
    if (row_bits % bits != 0 || weights % group != 0 || weights / group != scales.shape.back()) {
      bad_file(file, name, fmt::format("{}: {} bits and group_size {} do not divide them", sizes, bits, group));
    }
    Shape shape = codes.shape;
    shape[shape.rank() - 1] = weights;
    return shape;
  }

  /// What stands beside the codes: scales and what is like them, or numbers of matrices or rows.
  void check_beside(std::string_view name, const ComponentInfo& component, const Place& place, const Place& scales,
                    const Shape& shape) const {
    const SafetensorsEntry& entry = *place.entry;
    const fs::path& file = path_of(place);
    const auto told = safetensors_name(entry.dtype);
    if (component.dtype && entry.dtype != *component.dtype)
      bad_file(file, name, fmt::format("{} are {}, not {}", component.name, told, safetensors_name(*component.dtype)));
    if (!component.dtype && !is_arithmetic_float(entry.dtype))
      bad_file(file, name, fmt::format("{} are {}, not F32, F16 or BF16", component.name, told));
    if (component.of_row) {
      if (repeats_of(entry.shape, shape) == 0)
        bad_file(file, name,
                 fmt::format("{} {} is neither one number nor one a matrix", component.name, to_string(entry.shape)));
    } else if (entry.shape != scales.entry->shape || (!component.dtype && entry.dtype != scales.entry->dtype)) {
      bad_file(file, name, fmt::format("scales and {} differ in shape or dtype", component.name));
    }
  }

  /// For how many rows of a weight each number of such a shape stands; 0 where that does not come out.
  static std::int64_t repeats_of(const Shape& numbers, const Shape& weight) {
    const std::int64_t rows =
        Shape(std::span<const std::int64_t>(weight).first(static_cast<std::size_t>(weight.rank() - 1))).numel();
    const std::int64_t matrix = weight[weight.rank() - 2], count = numbers.numel();
    if (count == rows) return 1;
    if (count == 1) return rows;
    return matrix > 0 && count == rows / matrix ? matrix : 0;
  }
  /// Each row gets the number that stands for it.
  static Tensor of_rows(const Tensor& numbers, const Shape& weight) {
    const std::int64_t count = numbers.numel(), repeats = repeats_of(numbers.shape(), weight);
    Shape shape = weight;
    shape[shape.rank() - 1] = 1;
    return reshape(broadcast_to(reshape(numbers, {count, 1}), {count, repeats}), shape);
  }

  /// A tensor that save_safetensors packed.
  void add_noted(std::string_view name, const Place& place, const PackedNote& note) {
    const FormatInfo* format = find_format_info(note.format);
    if (!format)
      refuse(ErrorCode::unsupported, path_of(place), name, fmt::format("format {} is unknown", shown(note.format)));
    add_noted(name, place, note, *format);
    recipes_.back().order = find(stem_of(name), kInputOrder);
    tensors_.back().reordered = recipes_.back().order.entry != nullptr;
    tensors_.back().bytes += bytes_of(recipes_.back().order);
  }

  void add_noted(std::string_view name, const Place& place, const PackedNote& note, const FormatInfo& format) {
    if (format.components.size() > 1) {
      Place scales = find(stem_of(name), "scales");
      if (!scales.entry) bad_file(path_of(place), name, "is packed, but its .scales are missing");
      add_codes(name, place, format);
      const auto is_fixed = [](const ComponentInfo& component) { return component.dtype.has_value(); };
      if (std::ranges::all_of(format.components, is_fixed)) tensors_.back().dtype = note.dtype;
      return;
    }
    const SafetensorsEntry& entry = *place.entry;
    const std::int64_t weights =
        entry.shape.rank() > 0 && entry.dtype == DType::u8 ? weights_in_row(format, entry.shape.back()) : 0;
    if (weights == 0) bad_file(path_of(place), name, fmt::format("is not {} blocks", format.name));
    Shape shape = entry.shape;
    shape[shape.rank() - 1] = weights;
    tensors_.push_back({.name = std::string(name),
                        .shape = shape,
                        .dtype = note.dtype,
                        .format = format.name,
                        .bytes = bytes_of(place),
                        .packed = true});
    recipes_.push_back({.main = place, .format = format.name});
  }

  std::shared_ptr<const Packer> packer_;  // null: MLX's, or none
  std::deque<SafetensorsReader> readers_;
  std::vector<std::map<std::string, PackedNote, std::less<>>> notes_;  // a file each
  std::vector<NamedPlace> places_;
  std::vector<Recipe> recipes_;
};

/// Calls `entry(tensor, file)` for all of an index's weight_map. It is read twice rather than kept.
void stream_index(const MappedFile& index, const std::function<void(const std::string&, const std::string&)>& entry) {
  stream_json(index.text(), index.path(), [&](JsonLeaf& leaf) {
    if (!leaf.at(0, "weight_map")) return;
    if (leaf.path.size() != 2 || !leaf.is_text())
      bad_file(index.path(), "weight_map", "is not an object of file names");
    entry(leaf.path[1].key, leaf.text);
  });
}

std::vector<fs::path> files_of_index(const MappedFile& index, const fs::path& folder) {
  constexpr std::size_t kMostShards = 10'000;
  std::set<std::string> names;
  stream_index(index, [&](const std::string& tensor, const std::string& file) {
    if (names.contains(file)) return;
    if (file.empty() || file.find('/') != std::string::npos || file == "..") {
      bad_file(index.path(), tensor, fmt::format("{} is not the name of a file in the folder", shown(file)));
    }
    if (!fs::exists(folder / file)) bad_file(index.path(), tensor, fmt::format("{} is not there", shown(file)));
    names.insert(file);
    if (names.size() > kMostShards)
      bad_file(index.path(), "weight_map", fmt::format("names more than {} files", kMostShards));
  });
  if (names.empty()) bad_file(index.path(), "", "has no weight_map");
  std::vector<fs::path> files;
  for (const std::string& name : names) files.push_back(folder / name);
  return files;
}

std::vector<fs::path> glob_model_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

std::unique_ptr<WeightSource> open_folder(const fs::path& folder, const FolderPacking& packing) {
  const fs::path index = folder / "model.safetensors.index.json";
  if (!fs::exists(index)) {
    auto files = glob_model_files(folder);
    if (files.empty()) bad_file(folder, "", "has no model*.safetensors");
    return std::make_unique<FolderSource>(std::move(files), packing);
  }
  const auto mapped = MappedFile::open(index);
  auto source = std::make_unique<FolderSource>(files_of_index(*mapped, folder), packing);
  stream_index(*mapped,
               [&](const std::string& tensor, const std::string& file) { source->check_index(index, tensor, file); });
  return source;
}

std::unique_ptr<WeightSource> open_safetensors(const fs::path& file, const FolderPacking& packing) {
  return std::make_unique<FolderSource>(std::vector{file}, packing);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
