// Into GGUF Q4_0.
void encode_group(uint row, uint k) { encode_nibbles(component(0, row) + uint64_t(k / 32 * 18), 4, false); }
