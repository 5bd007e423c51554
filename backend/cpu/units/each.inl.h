// A loop that is unrolled for certain. Included inside a unit's unnamed namespace.

/// body(0) … body(kCount - 1) with constant arguments: loops over arrays of registers that compilers must not leave as
/// loops.
template <int kValue>
struct Constant {
  constexpr operator int() const { return kValue; }
};
template <int kCount, class Body>
[[gnu::always_inline]] inline void each(Body&& body) {
  if constexpr (kCount > 0) {
    each<kCount - 1>(body);
    body(Constant<kCount - 1>());
  }
}
