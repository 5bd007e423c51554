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

  using Bytes16 = std::uint8_t __attribute__((vector_size(16)));
  using Bytes32 = std::uint8_t __attribute__((vector_size(32)));
  /// The first digit of each fraction: three times it is two or more from 171 256ths on, one from 86.
  static void digits(const Bytes32& f, std::uint8_t* codes) {
    const auto less = (f > 85) + (f > 170);  // true is -1
    const auto digits = -less;
    __builtin_memcpy(codes, &digits, 32);
  }
  static void digits(const Bytes16& low, const Bytes16& high, std::uint8_t* codes) {
    digits(__builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                                   21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31),
           codes);
  }
  /// 32 codes at a time: a vector that is read after two were written there waits for memory.
  static void codes(const unsigned char* block, std::uint8_t* codes) {
    Bytes32 first;
    __builtin_memcpy(&first, block, 32);
#pragma GCC unroll 5
    for (int n = 0; n < 5; ++n, first *= 3) digits(first, codes + 32 * n);
    Bytes16 middle;
    __builtin_memcpy(&middle, block + 32, 16);
    const std::uint32_t four = word_bits(block + 48);
    const std::uint32_t words __attribute__((vector_size(16))) = {four, four, four, four};
    const Bytes16 last =
        __builtin_bit_cast(Bytes16, words) * Bytes16{1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27};
    digits(middle, middle * 3, codes + 160);
    digits(middle * 9, middle * 27, codes + 192);
    digits(middle * 81, last, codes + 224);
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
