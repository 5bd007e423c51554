// FP8: E5M2, and a float for each 128.
float number_of(uint code) { return float_of_e5m2(code); }
float scale_of(uint row, uint k) { return own_scale(row, k / 128); }
