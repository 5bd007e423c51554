// Into GGUF Q4_1.
void encode_group(uint row, uint k) { encode_nibbles(component(0, row) + uint64_t(k / 32 * 20), 4, true); }
