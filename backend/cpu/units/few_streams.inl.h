// The same for the formats in quant_tensor/formats/streams, whose scales stand beside their codes. Included after
// few_blocks.inl.h.

/// Of a block of 256 weights of a row: codes, and the scale and bias of each lane's group.
template <class Stream>
class StreamBlock {
 public:
  /// The block that begins with weight `begin`, of which the row has `left`: the rest is zeros, which meet zeros of x.
  [[gnu::always_inline]] void read(const RowBytes& row, std::int64_t begin, std::int64_t left, std::int64_t ahead) {
    const unsigned char* in = row.component[0] + begin * Stream::kBits / 8;
    fetch<kIn>(in + ahead);
    float scale[kScales] = {};
    if (left >= kBlockWeights) [[likely]] {
      for (int g = 0; g < kScales; ++g) scale[g] = Stream::scale(row, begin / Stream::kGroup + g) * Stream::kUnit;
    } else {
      const std::int64_t scales = left / Stream::kGroup;
      for (int g = 0; g < scales; ++g) scale[g] = Stream::scale(row, begin / Stream::kGroup + g) * Stream::kUnit;
      __builtin_memset(last_, 0, sizeof last_);
      __builtin_memcpy(last_, in, static_cast<unsigned long>(left * Stream::kBits / 8));
      in = last_;
    }
    constexpr LaneGroups kGroupOf = groups_of<Stream>();
    for (int i = 0; i < kBlockGroups; ++i) {
      scale_[i] = scale[kGroupOf.v[i] * kGroupWeights / Stream::kGroup];
      bias_[i] = bias_of<Stream>(scale_[i]);
    }
    if constexpr (has_columns<Stream>) {
      in_ = in;
    } else {
      Stream::codes(in, kBlockWeights, bytes_);
    }
  }
  [[gnu::always_inline]] void part(int p, Columns (&codes)[4]) const {
    if constexpr (has_columns<Stream>) {
      Stream::columns(in_, p, codes);
    } else {
      byte_columns(bytes_, p, codes);
    }
  }
  [[gnu::always_inline]] F scale(int p) const { return load_f32(scale_ + p * kLanes); }
  [[gnu::always_inline]] F bias(int p) const { return load_f32(bias_ + p * kLanes); }

 private:
  static constexpr int kIn = kBlockWeights * Stream::kBits / 8, kScales = kBlockWeights / Stream::kGroup;

  const unsigned char* in_ = nullptr;
  unsigned char last_[kIn];
  alignas(64) std::uint8_t bytes_[has_columns<Stream> ? 1 : kBlockWeights];
  float scale_[kBlockGroups], bias_[kBlockGroups];
};

template <class Stream, class Scheme, bool kOne>
void multiply_streams(const FewRowsProduct& a) {
  for_packed_rows(
      a, [&](const RowBytes* rows, float* const* sums) __attribute__((always_inline)) {
        F y[kPackedRows] = {};
        const unsigned char* x = a.x;
        for (std::int64_t k = 0; k < a.part.count; k += kBlockWeights, x += a.x_rows * kXBytes<Scheme>) {
          StreamBlock<Stream> w[kPackedRows];
          each<kPackedRows>([&](auto r) __attribute__((always_inline)) {
            w[r].read(rows[r], a.part.begin + k, a.part.count - k, a.part.ahead);
          });
          multiply_parts<Scheme, kOne>(w, w, x, a.x_rows, sums, y);
        }
        for (int r = 0; kOne && r < kPackedRows; ++r) store_f32(sums[r], y[r]);
      });
}

template <class Stream, class Scheme>
constexpr FewRowsScheme stream_scheme() {
  return {kChunkWeights,
          kXBytes<Scheme>,
          kLanesOf<Stream>.v,
          pack_row<Scheme>,
          nullptr,
          multiply_streams<Stream, Scheme, true>,
          multiply_streams<Stream, Scheme, false>};
}
/// One without a name where values are no scaled integers.
template <class Stream>
constexpr FewRowsKernel stream_kernel() {
  if constexpr (has_codes<Stream>) {
    constexpr int kBits = Stream::kCodeBits;
    return {Stream::kName, {stream_scheme<Stream, Standard<kBits>>(), stream_scheme<Stream, Fast<kBits>>()}};
  } else {
    return {.format = "", .schemes = {}};
  }
}

template <class...>
struct Types {};
template <class Blocks, class Streams>
struct FewKernels;
template <class... Block, class... Stream>
struct FewKernels<Types<Block...>, Types<Stream...>> {
  static constexpr FewRowsKernel all[] = {block_kernel<Block>()..., stream_kernel<Stream>()...};
};
constexpr auto& kFewKernels = FewKernels<AllBlocks<Types>, AllStreams<Types>>::all;
