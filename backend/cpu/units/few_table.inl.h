// A row for each format of few_blocks.inl.h and few_streams.inl.h. Included after those.

template <class...>
struct Types {};
template <class Blocks, class Streams>
struct FewKernels;
template <class... Block, class... Stream>
struct FewKernels<Types<Block...>, Types<Stream...>> {
  static constexpr FewRowsKernel all[] = {block_kernel<Block>()..., stream_kernel<Stream>()...};
};
constexpr auto& kFewKernels = FewKernels<AllBlocks<Types>, AllStreams<Types>>::all;
