#pragma once

#include <cstdint>

namespace nibble {
inline namespace v0 {
namespace detail {

inline constexpr std::int64_t kTileKeys = 64;
inline constexpr std::int64_t kTileRows = 64;

/// One step of the online softmax (Milakov and Gimelshein, 2018): some query rows against the next few keys. Everything
/// is f32; raw pointers, so that the code can be compiled once for each instruction set.
struct AttentionTile {
  std::int64_t rows, keys;    ///< up to kTileRows and kTileKeys
  std::int64_t depth, width;  ///< of a key, of a value
  const float* q;             ///< (rows, depth), times the scale
  const float* k;             ///< (keys, depth), rows k_stride apart
  std::int64_t k_stride;
  const float* v;  ///< (keys, width), rows v_stride apart
  std::int64_t v_stride;
  const std::int64_t* visible;  ///< of each row: how many of the keys it sees, from the first on
  const float* bias;            ///< (rows, kTileKeys) added to the scores; or null
  float* turned_k;              ///< room for (depth, kTileKeys)
  float* scores;                ///< room for (rows, kTileKeys)
  // What is carried from tile to tile:
  float* out;                  ///< (rows, width): sum of exp(score − largest) · value
  float* largest;              ///< of each row, −∞ at first
  double* total;               ///< of each row: sum of exp(score − largest)
  bool deterministic = false;  ///< the same bits for a row whatever the other rows
};

using AttendFunction = void (*)(const AttentionTile& tile);

// One for each instruction-set unit; the names are those of units.
void attend_scalar(const AttentionTile& tile);
#if defined(__x86_64__)
void attend_avx2(const AttentionTile& tile);
void attend_avx512(const AttentionTile& tile);
#endif

/// That of the unit of this name. Throws Error(invalid_argument) for another.
AttendFunction attend_function(const char* unit);

}  // namespace detail
}  // namespace v0
}  // namespace nibble
