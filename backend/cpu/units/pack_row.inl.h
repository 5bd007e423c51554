// A row of x as few-row products read it, chunk by chunk. Included inside a unit's unnamed namespace, after
// kChunkWeights, kRoundedWeights that share a unit, kXBytes, Rounding and pack_block, which rounds those into their
// place in a chunk.

template <class Scheme>
bool pack_row(const float* x, std::int64_t k, const std::uint8_t* order, std::int64_t pitch, unsigned char* packed) {
  Rounding rounding;
  for (std::int64_t i = 0; i < k; i += kChunkWeights, packed += pitch) {
    if (k - i < kChunkWeights) __builtin_memset(packed, 0, kXBytes<Scheme>);
    const std::int64_t left = k - i < kChunkWeights ? k - i : kChunkWeights;
    for (int j = 0; j * kRoundedWeights < left; ++j) {
      if (!pack_block<Scheme>(x + i + j * kRoundedWeights, order, j, packed, rounding)) return false;
    }
  }
  return rounding.stays_below(kMostLost<Scheme>);
}
