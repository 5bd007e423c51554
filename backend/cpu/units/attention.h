#pragma once

#include <cstdint>

namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

// What an instruction set contributes to attention. All of it keeps three numbers of a query: the largest score so far,
// the sum of exp(score − largest), and the sum of exp(score − largest) · value (Milakov and Gimelshein, 2018).

/// How the numbers of a cache lie.
enum class CacheElement : std::uint8_t { f32, f16, bf16, q8_0, count_ };

/// Keys or values of one head: a row each, `stride` bytes apart.
struct CacheRows {
  const unsigned char* data;
  std::int64_t stride;
};

/// Few queries against a range of keys: the cache is read once, as it lies, a vector of a row at a time.
struct FewQueries {
  std::int64_t rows, keys;
  std::int64_t depth, width;  ///< of a key, of a value; multiples of the unit's lanes
  const float* q;             ///< (rows, depth), times the scale
  CacheRows k, v;
  const std::int64_t* visible;  ///< of each row: how many of the keys it sees, from the first on
  const float* bias;            ///< (rows, pitch) added to the scores; or null
  float* weights;               ///< room for (rows, pitch)
  std::int64_t pitch;           ///< keys, rounded up to kFewPadding
  float* out;                   ///< (rows, width): the sum of weighted values
  float* largest;               ///< of each row; −∞ where it sees nothing
  float* total;                 ///< of each row
};
inline constexpr std::int64_t kFewPadding = 16;

/// The queries of a panel, a lane each, against the next few keys. Rows of keys and values are 32-bit words: a float,
/// or a pair of bf16.
struct PanelTile {
  std::int64_t keys;          ///< up to kTileKeys
  std::int64_t depth, width;  ///< of a key in words, of a value
  const float* q;             ///< (depth, panel), times the scale
  const float* k;             ///< (keys, depth)
  std::int64_t k_stride;      ///< words from key to key
  const float* v;             ///< (keys, width); where a word is a pair, of neighbouring keys: ((keys + 1) / 2, width)
  std::int64_t v_stride;
  const float* visible;  ///< (panel): how many of the keys each query sees; null where all see all
  const float* bias;     ///< (keys, panel) added to the scores; or null
  float* weights;        ///< room for (kTileKeys, panel)
  // What is carried from tile to tile:
  float* out;      ///< (width, panel)
  float* largest;  ///< (panel), −∞ at first
  float* total;    ///< (panel)
};
inline constexpr std::int64_t kTileKeys = 128;

/// One arithmetic for panels.
struct PanelKernel {
  int step;  ///< values in a word
  void (*attend)(const PanelTile& tile);
  // Where a word is a pair of values (else null):
  void (*pair_neighbours)(const float* x, std::int64_t n, float* words);  ///< ((n + 1) / 2) words, the last one padded
  void (*pair_rows)(const float* even, const float* odd, std::int64_t n, float* words);
};

struct AttentionUnit {
  int lanes;  ///< floats in a vector
  int panel;  ///< queries in a panel
  void (*few[static_cast<int>(CacheElement::count_)])(const FewQueries& queries);
  PanelKernel exact;
};

extern const AttentionUnit kScalarAttention;
#if defined(__x86_64__)
extern const AttentionUnit kAvx2Attention;
extern const AttentionUnit kAvx512Attention;
extern const PanelKernel kAvx512Bf16Panel;  ///< what processors of the unit avx512 may have beside it
#elif defined(__aarch64__)
extern const AttentionUnit kNeonAttention;
#endif

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
