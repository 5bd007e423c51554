// GGUF MXFP4 (OCP Microscaling Formats): an exponent, 16 bytes of nibbles, byte i that of weights i (low) and i + 16;
// value = 2^(exponent − 128) · kTwiceE2M1[code].
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"
#include "quant_tensor/formats/blocks/columns.inl.h"
#include "quant_tensor/formats/blocks/tables.inl.h"

struct MXFP4 {
  static constexpr const char* kName = "mxfp4_gguf";
  static constexpr const char* kKind = "mxfp4";
  static constexpr int kGgmlType = 39, kWeights = 32, kBytes = 17, kGroup = 32, kBits = 4, kCodeBits = 5, kZero = 12;
  static constexpr auto& kTable = kTwiceE2M1;
  static constexpr bool kHasFloats = true;

  static void names(const unsigned char* block, std::uint8_t* __restrict names) {
    unpack_nibbles(block + 1, 16, names);
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) { codes_of_names<MXFP4>(block, codes); }
  static constexpr LaneGroups kLaneGroups = kHalvesBy16;
  template <class V>
  static void columns(const unsigned char* block, int p, V (&codes)[4]) {
    constexpr int kStep = kBytes, kQ = 1;
    table_columns<MXFP4>(V::load(block + kQ, kStep, 4 * kStep, p), V::load(block + 2 * kStep + kQ, kStep, 4 * kStep, p),
                         codes);
  }
  /// The two smallest are subnormal.
  static void scales(const unsigned char* block, float* scale) {
    const std::uint32_t exponent = block[0];
    *scale = __builtin_bit_cast(float, exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
  }
  /// One more than exponents have is that of a float, and 2⁻¹²⁷ is its half bit. Infinite where biases are.
  template <class Widen>
  static void block_scales(const EightWords& first, Widen, EightNumbers& scale) {
    using Ints = std::uint32_t __attribute__((vector_size(32)));
    const Ints bits = __builtin_convertvector(first & 255, Ints) << 23;
    scale = reinterpret_cast<EightNumbers>(bits | (reinterpret_cast<Ints>(bits == 0) & 0x00400000u)) * 0x1p4f * 0x1p-5f;
  }
};
