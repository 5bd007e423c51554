// GGUF Q4_K: d and dmin, scales and minima (six_bit_scales.glsl), 128 bytes of nibbles; value = d · scale · code − dmin ·
// minimum.
void codes_32(uint row, uint k, out Codes c) {
  read_nibbles_of(block_at(row, k, 256, 144), k % 256 / 32, 16, c);
}
