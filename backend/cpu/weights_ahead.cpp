#include "backend/cpu/weights_ahead.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "backend/common/executor.h"
#include "backend/cpu/blocking.h"
#include "quant_tensor/tensor/tensor_impl.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {
namespace {

constexpr int kBits = 10;  // of a place: more weights than a model of some billion numbers has
constexpr std::uint32_t kPlaces = 1u << kBits;
constexpr std::uint32_t kNone = kPlaces;  // the place of no weight
constexpr std::int64_t kPiece = 2048;     // bytes that are asked for between two looks for work

/// A weight's bytes, and the one that followed it last. Every member may change under a reader, who then asks for
/// bytes that nobody needs.
struct Place {
  std::array<std::atomic<const unsigned char*>, kMaxComponents> first{};
  std::array<std::atomic<std::int64_t>, kMaxComponents> bytes{};
  /// The objects that describe it: the tensor, how it is packed, and of each component the tensor and its storage.
  std::array<std::atomic<const void*>, 3 + 2 * kMaxComponents> about{};
  std::atomic<std::uint32_t> next{kNone};
  std::atomic<bool> again{false};  ///< it followed the time before, too
};
std::array<Place, kPlaces + 1> places;

std::atomic<std::uint32_t> expected{kNone};
std::atomic<std::uint32_t> readings{0};  ///< so that waiting threads see that something else is expected

/// Weights that fall on the same place are taken for one another.
std::uint32_t place_of(const unsigned char* first) {
  constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(first) / 64 * kGoldenRatio >> (64 - kBits));
}

/// Asks for piece `i` of `pieces` of all components.
void ask(const Place& weight, std::int64_t i, std::int64_t pieces) {
  for (std::size_t c = 0; c < weight.first.size(); ++c) {
    const unsigned char* first = weight.first[c].load(std::memory_order_relaxed);
    const std::int64_t bytes = weight.bytes[c].load(std::memory_order_relaxed);
    for (std::int64_t at = bytes * i / pieces & ~63; at < bytes * (i + 1) / pieces; at += 64) {
      __builtin_prefetch(first + at, 0, 2);
    }
  }
}

/// The next piece of a waiting thread's share, and when that is through of what follows, as much as its cache holds.
void ask_ahead(int thread, int threads) {
  thread_local std::uint32_t reading = 0;
  thread_local std::int64_t done = 0;
  const std::uint32_t now = readings.load(std::memory_order_acquire);
  if (now != reading) {
    reading = now;
    done = 0;
  }
  const Place& weight = places[expected.load(std::memory_order_relaxed)];
  std::int64_t bytes = 0;
  for (const auto& component : weight.bytes) bytes += component.load(std::memory_order_relaxed);
  const std::int64_t pieces = bytes / kPiece;
  if (done >= std::min(pieces, blocking().ahead / kPiece)) return;
  ask(weight, (pieces * thread / threads + done) % pieces, pieces);
  ++done;
}

}  // namespace

void about_to_read(const PackedRows& w) {
  thread_local std::uint32_t last = kNone;
  [[maybe_unused]] static const bool told = (while_waiting(ask_ahead), true);
  const RowBytes row = w.bytes(0);
  const std::uint32_t self = place_of(row.component[0]);
  Place& place = places[self];
  for (std::size_t c = 0; c < place.first.size(); ++c) {
    const bool has = static_cast<int>(c) < w.components();
    place.first[c].store(row.component[c], std::memory_order_relaxed);
    place.bytes[c].store(has ? w.rows() * w.pitch(static_cast<int>(c)) : 0, std::memory_order_relaxed);
  }
  // Looked at and stored apart: an exchange would wait until all stores before it have reached the other threads.
  Place& before = places[std::exchange(last, self)];
  before.again.store(before.next.load(std::memory_order_relaxed) == self, std::memory_order_relaxed);
  before.next.store(self, std::memory_order_relaxed);
  const bool sure = place.again.load(std::memory_order_relaxed);
  expected.store(sure ? place.next.load(std::memory_order_relaxed) : kNone, std::memory_order_relaxed);
  readings.store(readings.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void have_read(const PackedRows& w, const Tensor& held) {
  const Packing& packing = *held.packing();
  auto about = places[place_of(w.bytes(0).component[0])].about.begin();
  const auto note = [&about](const void* object) { (about++)->store(object, std::memory_order_relaxed); };
  note(&held.impl());
  note(&packing);
  note(packing.components.data());
  for (const Tensor& component : packing.components) {
    note(&component.impl());
    note(component.impl().storage.get());
  }
  for (const auto& object : places[expected.load(std::memory_order_relaxed)].about) {
    const auto* first = static_cast<const std::byte*>(object.load(std::memory_order_relaxed));
    if (first == nullptr) break;
    for (std::size_t at = 0; at < sizeof(TensorImpl); at += 64) __builtin_prefetch(first + at);  // the largest of them
  }
}

const unsigned char* expected_weight() {
  return places[expected.load(std::memory_order_relaxed)].first[0].load(std::memory_order_relaxed);
}

const void* expected_tensor() {
  return places[expected.load(std::memory_order_relaxed)].about[0].load(std::memory_order_relaxed);
}

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
