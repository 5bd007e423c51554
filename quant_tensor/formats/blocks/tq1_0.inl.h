// GGUF TQ1_0: five trits a byte, an f16 d; value = d · (code − 1). A byte is a fraction of 256ths whose digits in base
// three are its codes: of 32 bytes weights 32n + i are digit n of byte i, of 16 bytes then likewise 160 + 16n + i, and
// of the last four, four digits.
#pragma once

#include "quant_tensor/formats/blocks/bytes.inl.h"

struct TQ1_0 {
  static constexpr const char* kName = "tq1_0";
  static constexpr int kGgmlType = 34, kWeights = 256, kBytes = 54, kGroup = 256, kBits = 2, kCodeBits = 2, kZero = 1;

  static constexpr int digit(int byte, int n) {
    for (; n > 0; --n) byte *= 3;
    return (byte & 255) * 3 >> 8;
  }
  /// Where weight i is: five times its byte, and its digit.
  static constexpr int place(int i) {
    if (i < 160) return 5 * (i % 32) + i / 32;
    if (i < 240) return 5 * (32 + i % 16) + (i - 160) / 16;
    return 5 * (48 + i % 4) + (i - 240) / 4;
  }

  template <int kCount, int kDigits>
  static void digits(const unsigned char* q, std::uint8_t* __restrict codes) {
    int power = 1;
    for (int n = 0; n < kDigits; ++n, power *= 3, codes += kCount) {
      for (int i = 0; i < kCount; ++i) codes[i] = static_cast<std::uint8_t>((q[i] * power & 255) * 3 >> 8);
    }
  }
  static void codes(const unsigned char* block, std::uint8_t* codes) {
    digits<32, 5>(block, codes);
    digits<16, 5>(block + 32, codes + 160);
    digits<4, 4>(block + 48, codes + 240);
  }
  static void scales(const unsigned char* block, float* scale) { *scale = half_to_float(half_bits(block + 52)); }

  template <int kCount, int kDigits>
  static void pack_digits(const std::uint8_t* codes, unsigned char* q) {
    for (int i = 0; i < kCount; ++i) {
      int sum = 0;
      for (int n = 0; n < 5; ++n) sum = 3 * sum + (n < kDigits ? codes[n * kCount + i] : 0);
      q[i] = static_cast<unsigned char>((sum * 256 + 242) / 243);
    }
  }
  static void pack(const std::uint8_t* codes, std::uint16_t d, unsigned char* block) {
    pack_digits<32, 5>(codes, block);
    pack_digits<16, 5>(codes + 160, block + 32);
    pack_digits<4, 4>(codes + 240, block + 48);
    put_half(block + 52, d);
  }
};
