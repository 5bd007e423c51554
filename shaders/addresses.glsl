// How operands are read: at addresses in device memory. An operand is a component of w, or x.
uint read_word(uint operand, uint64_t at, uint behind) { return Word(at + behind * 4).value; }
uvec4 read_quad(uint operand, uint64_t at, uint behind) { return Quad(at + behind * 16).value; }
