// x as shaders/x_bytes.glsl leaves it: of each row all bytes, then for each 16 of them a step and the sum of what they stand
// for. A step that is the mark says that these 16 are to be read from x itself.
const uint kMark = 0x7fc00000u, kTinyBits = 0x0d800000u, kHugeBits = 0x71800000u;  // 2^-100, 2^100

/// Rows whose length is no multiple of 32 end in zeros.
uint padded_k() { return (args.k + 31) / 32 * 32; }
uint64_t bytes_row(uint m) { return args.x_made + uint64_t(min(m, args.m - 1)) * (padded_k() + padded_k() / 2); }
