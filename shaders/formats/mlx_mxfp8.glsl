// MLX's mxfp8: E4M3, and an exponent for each 32.
float number_of(uint code) { return float_of_e4m3(code); }
float scale_of(uint row, uint k) { return power_of_two(byte_scale(row, k / 32)); }
