// The floating dtypes as a unit's vectors see them. Included inside the unit's unnamed namespace, after its vectors of
// floats:
//   F and load_*, store_*, half_to_float, float_to_half.
// What is read may lie at any address: files leave it where their headers end. So lines are of bytes.

struct Half {
  using Word = std::uint16_t;
  static float widen(Word w) { return half_to_float(w); }
  static Word narrow(float f) { return float_to_half(f); }
  static F load(const void* p) { return load_f16(p); }
  static void store(Word* p, F v) { store_f16(p, v); }
};
struct Bfloat {
  using Word = std::uint16_t;
  static float widen(Word w) { return widen_bfloat(w); }
  static Word narrow(float f) { return narrow_to_bfloat(f); }
  static F load(const void* p) { return load_bf16(p); }
  static void store(Word* p, F v) { store_bf16(p, v); }
};
struct Single {
  using Word = float;
  static float widen(Word w) { return w; }
  static Word narrow(float f) { return f; }
  static F load(const void* p) { return load_f32(p); }
  static void store(Word* p, F v) { store_f32(p, v); }
};

/// Element i of a line.
template <class T>
const unsigned char* at(const void* line, std::int64_t i) {
  return static_cast<const unsigned char*>(line) + i * static_cast<std::int64_t>(sizeof(typename T::Word));
}
template <class T>
typename T::Word word(const void* line, std::int64_t i) {
  typename T::Word w;
  __builtin_memcpy(&w, at<T>(line, i), sizeof w);
  return w;
}
