// FP8: E4M3, and a float for each 128.
float number_of(uint code) { return float_of_e4m3(code); }
float scale_of(uint row, uint k) { return own_scale(row, k / 128); }
