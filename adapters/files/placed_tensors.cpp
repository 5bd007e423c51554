#include "adapters/files/placed_tensors.h"

#include <fmt/format.h>

#include <utility>

#include "adapters/files/file_error.h"
#include "nibble/ops.h"

namespace nibble {
inline namespace v0 {
namespace files {

PlacedTensors::PlacedTensors(const std::filesystem::path& path, std::string container)
    : file_(path), container_(std::move(container)) {}

bool PlacedTensors::place(const std::string& name, DType dtype, std::uint64_t begin, std::uint64_t bytes) {
  return slots_.emplace(name, Slot{begin, begin + bytes, dtype}).second;
}

PlacedTensors::Slot& PlacedTensors::slot_of(std::string_view name) {
  const auto found = slots_.find(name);
  if (found == slots_.end())
    throw Error(ErrorCode::invalid_argument, fmt::format("[{}] {}: was not declared", container_, shown(name)));
  return found->second;
}

void PlacedTensors::append(std::string_view name, std::span<const std::byte> bytes) {
  Slot& slot = slot_of(name);
  if (bytes.size() > slot.end - slot.next) {
    throw Error(ErrorCode::invalid_argument, fmt::format("[{}] {}: more bytes than declared", container_, shown(name)));
  }
  file_.write_at(slot.next, bytes);
  slot.next += bytes.size();
}

void PlacedTensors::append(std::string_view name, const Tensor& tensor) {
  const DType declared = slot_of(name).dtype;
  if (declared != tensor.dtype()) {
    throw Error(ErrorCode::dtype_mismatch, fmt::format("[{}] {}: declared {}, given {}", container_, shown(name),
                                                       nibble::name(declared), describe(tensor)));
  }
  const Tensor dense = tensor.is_contiguous() ? tensor : contiguous(tensor);
  append(name, std::span(static_cast<const std::byte*>(dense.raw_data()), dense.nbytes()));
}

void PlacedTensors::complete() {
  for (const auto& [name, slot] : slots_) {
    if (slot.next != slot.end)
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("[{}] {}: {} bytes are missing", container_, shown(name), slot.end - slot.next));
  }
  file_.make_durable();
}

void PlacedTensors::finish() {
  complete();
  file_.commit();
}

}  // namespace files
}  // namespace v0
}  // namespace nibble
