// Formats whose codes name numbers, floats that the device has as component 2.
float number_named(uint code) { return uintBitsToFloat(read_word(2, component(2, 0) + uint64_t(code * 4))); }
