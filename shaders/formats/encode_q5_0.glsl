// Into GGUF Q5_0.
void encode_group(uint row, uint k) { encode_nibbles(component(0, row) + uint64_t(k / 32 * 22), 5, false); }
