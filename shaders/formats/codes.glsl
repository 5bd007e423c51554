// What a format's codes_32(row, k, out c) finds of 32 weights from weight k of a row on: a byte for each, and a scale for each
// half. Bytes are signed and value = scale · code, or (kShifted) they are not and value = scale · code + bias.
struct Codes {
  uint four[8];
  vec2 scale, bias;
};

/// Less a zero, as signed bytes; of codes up to 127 + zero.
uint less(uint four, uint zero) { return four + (128u - zero) * 0x01010101u ^ 0x80808080u; }
