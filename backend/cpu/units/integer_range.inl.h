// Which activations integers may stand for. Included inside a unit's unnamed namespace.

/// Outside of these magnitudes a scale or a partial sum could leave fp32's range where the dense product does not.
constexpr float kLeastMagnitude = 1e-25f, kMostMagnitude = 1e30f;

/// Whether a block of activations can be rounded, whose largest magnitude has these bits.
inline bool has_integers(std::uint32_t bits) {
  const float most = __builtin_bit_cast(float, bits);
  return bits < 0x7f800000u && most <= kMostMagnitude && (bits == 0 || most >= kLeastMagnitude);
}
