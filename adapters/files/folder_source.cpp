#include "adapters/files/folder_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <set>

#include "adapters/files/file_error.h"
#include "adapters/files/json_events.h"
#include "adapters/files/packed_pieces.h"
#include "adapters/files/safetensors.h"

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
  Place scales = {}, biases = {};
  std::string format = {};   // empty: dense
  std::string refusal = {};  // why get() cannot make it
};

class FolderSource : public WeightSource {
 public:
  FolderSource(std::vector<fs::path> files, const MlxPacking& packing) {
    files_ = std::move(files);
    for (const fs::path& file : files_) notes_.push_back(packed_notes(readers_.emplace_back(file).metadata()));
    index_places();
    for (const auto& [name, place] : places_) add(name, place, packing);
    // `places_` is sorted by name, and so are the tensors.
  }

  Tensor get(std::size_t i) const override {
    const Recipe& recipe = recipes_[i];
    const TensorInfo& info = tensors_[i];
    if (!recipe.refusal.empty()) refuse(ErrorCode::unsupported, path_of(recipe.main), info.name, recipe.refusal);
    const Tensor main = load(recipe.main);
    if (recipe.format.empty()) return main;
    try {
      if (!recipe.scales.entry) return from_components(recipe.format, {{"blocks", main}}, info.shape, info.dtype);
      const FormatInfo& format = *find_format_info(recipe.format);
      return from_quantized(main, load(recipe.scales), load(recipe.biases),
                            {.bits = format.bits, .group_size = format.group_size});
    } catch (const Error& error) {
      refuse(error.code(), path_of(recipe.main), info.name, error.what());
    }
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

  void add(std::string_view name, const Place& place, const MlxPacking& packing) {
    const auto& notes = notes_[place.file];
    if (const auto note = notes.find(name); note != notes.end()) return add_noted(name, place, note->second);
    if ((packing.present || !notes.empty()) && belongs_to_a_triplet(name)) return;
    const bool is_weight = name.ends_with(".weight");
    const auto stem = stem_of(name);
    if (packing.present && is_weight && find(stem, "scales").entry) return add_mlx(name, place, packing.of(stem));
    if (packing.present && is_weight && place.entry->dtype == DType::u32)
      bad_file(path_of(place), name, "is packed, but its .scales are missing");
    add_dense(name, place);
    if (is_weight && place.entry->dtype == DType::u32 && find(stem, "scales").entry)
      recipes_.back().refusal =
          "has .scales, as if packed by mlx-lm, but no config.json beside it says how (quantization)";
  }

  bool belongs_to_a_triplet(std::string_view name) const {
    for (const std::string_view part : {".scales", ".biases"}) {
      if (!name.ends_with(part)) continue;
      const auto stem = name.substr(0, name.size() - part.size());
      if (find(stem, "scales").entry && (find(stem, "weight").entry || find(stem).entry)) return true;
      if (part == ".scales") bad_file(path_of(find(name)), name, "has no .weight beside it");
    }
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
    Recipe recipe{.main = codes, .scales = find(stem_of(name), "scales"), .biases = find(stem_of(name), "biases")};
    const auto [bits, group] = layer.params;
    if (is_mlx_mode(layer.mode)) {
      const FormatInfo* format = find_mlx_format(layer.mode, bits, group);
      if (!format)
        refuse(ErrorCode::unsupported, path_of(codes), name,
               fmt::format("bits {} with group_size {} is not supported", bits, group));
      if (!recipe.biases.entry) bad_file(path_of(codes), name, "is packed, but its .biases are missing");
      recipe.format = format->name;
    } else {
      recipe.refusal = fmt::format("quantization mode {} is not supported (affine is)", shown(layer.mode));
    }
    const Shape shape = check_triplet(name, recipe, bits, group);
    tensors_.push_back({.name = std::string(name),
                        .shape = shape,
                        .dtype = recipe.refusal.empty() ? recipe.scales.entry->dtype : DType::f32,
                        .format = recipe.refusal.empty() ? recipe.format : layer.mode,
                        .bytes = bytes_of(recipe.main) + bytes_of(recipe.scales) + bytes_of(recipe.biases),
                        .packed = true});
    recipes_.push_back(std::move(recipe));
  }

  /// The logical shape of codes (…, N, K·bits/32), scales and biases (…, N, K/group).
  Shape check_triplet(std::string_view name, const Recipe& recipe, int bits, int group) const {
    const fs::path& file = path_of(recipe.main);
    const SafetensorsEntry& codes = *recipe.main.entry;
    const SafetensorsEntry& scales = *recipe.scales.entry;
    const std::string sizes = fmt::format("codes {}, scales {}", to_string(codes.shape), to_string(scales.shape));
    if (codes.dtype != DType::u32)
      bad_file(file, name, fmt::format("packed codes are {}, not U32", safetensors_name(codes.dtype)));
    if (codes.shape.rank() < 2 || scales.shape.rank() != codes.shape.rank())
      bad_file(file, name, fmt::format("{}: ranks do not fit", sizes));
    for (int axis = 0; axis + 1 < codes.shape.rank(); ++axis) {
      if (codes.shape[axis] != scales.shape[axis]) bad_file(file, name, fmt::format("{}: rows do not fit", sizes));
    }
    // Where a tensor is not empty its width is far below this; an empty one may claim anything.
    constexpr std::int64_t kWidest = std::int64_t{1} << 40;
    if (codes.shape.back() > kWidest) bad_file(file, name, "shape overflows");
    const std::int64_t weights = codes.shape.back() * 32 / bits;
    if (codes.shape.back() * 32 % bits != 0 || weights % group != 0 || weights / group != scales.shape.back()) {
      bad_file(file, name, fmt::format("{}: {} bits and group_size {} do not divide them", sizes, bits, group));
    }
    if (recipe.biases.entry) {
      const SafetensorsEntry& biases = *recipe.biases.entry;
      if (biases.shape != scales.shape || biases.dtype != scales.dtype)
        bad_file(file, name, "scales and biases differ in shape or dtype");
    }
    const bool is_float = scales.dtype == DType::f32 || scales.dtype == DType::f16 || scales.dtype == DType::bf16;
    if (recipe.refusal.empty() && !is_float)
      bad_file(file, name, fmt::format("scales are {}, not F32, F16 or BF16", safetensors_name(scales.dtype)));
    Shape shape = codes.shape;
    shape[shape.rank() - 1] = weights;
    return shape;
  }

  /// A tensor that save_safetensors packed.
  void add_noted(std::string_view name, const Place& place, const PackedNote& note) {
    const FormatInfo* format = find_format_info(note.format);
    if (!format)
      refuse(ErrorCode::unsupported, path_of(place), name, fmt::format("format {} is unknown", shown(note.format)));
    const SafetensorsEntry& entry = *place.entry;
    if (!format->mlx_mode.empty()) {
      Place scales = find(stem_of(name), "scales");
      if (!scales.entry) bad_file(path_of(place), name, "is packed, but its .scales are missing");
      return add_mlx(name, place,
                     {.packed = true, .params = {format->bits, format->group_size}, .mode = format->mlx_mode});
    }
    const std::int64_t weights =
        entry.shape.rank() > 0 && entry.dtype == DType::u8 ? weights_in_row(*format, entry.shape.back()) : 0;
    if (weights == 0) bad_file(path_of(place), name, fmt::format("is not {} blocks", format->name));
    Shape shape = entry.shape;
    shape[shape.rank() - 1] = weights;
    tensors_.push_back({.name = std::string(name),
                        .shape = shape,
                        .dtype = note.dtype,
                        .format = format->name,
                        .bytes = bytes_of(place),
                        .packed = true});
    recipes_.push_back({.main = place, .format = format->name});
  }

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

std::unique_ptr<WeightSource> open_folder(const fs::path& folder, const MlxPacking& packing) {
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

std::unique_ptr<WeightSource> open_safetensors(const fs::path& file, const MlxPacking& packing) {
  return std::make_unique<FolderSource>(std::vector{file}, packing);
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
