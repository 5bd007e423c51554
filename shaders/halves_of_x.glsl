// x as shaders/x_halves.glsl leaves it: for each row numbers of f16 whose sum is its entries, but for a power of two that is the
// row's own; then what undoes that, for each row; then for each kFold places along k the sum of each row's entries there. Rows
// and k are padded with zeros. A row that undoes with what is no number is to be read from x itself.
layout(constant_id = 3) const uint kM = 16;  // rows of a matrix of x, and of one of w; places along k of both
layout(constant_id = 7) const uint kN = 16;
layout(constant_id = 11) const uint kK = 16;
layout(constant_id = 12) const uint kHalves = 2;  // numbers for each entry
layout(constant_id = 13) const uint kFold = 64;   // places along k that have one scale in every row of w: 16, 32, 64 or 128

/// A workgroup is four subgroups, two by two, each of which has two by two matrices of y.
const uint kMatrices = 2, kTileM = 2 * kMatrices * kM, kTileN = 2 * kMatrices * kN;

uint padded_k() { return (args.k + 127) / 128 * 128; }
uint padded_m() { return (args.m + kTileM - 1) / kTileM * kTileM; }
uint64_t halves_at(uint m) { return args.x_made + uint64_t(m) * (padded_k() * kHalves * 2); }
uint64_t powers_at() { return halves_at(padded_m()); }
uint64_t sums_at(uint k) { return powers_at() + uint64_t(1 + k / kFold) * (padded_m() * 4); }
