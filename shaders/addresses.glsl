// How operands are read: at addresses in device memory. An operand is a component of w, or x.
uint read_word(uint operand, uint64_t at) { return Word(at).value; }
uvec4 read_quad(uint operand, uint64_t at) { return Quad(at).value; }
