// bitsandbytes' FP4, which it makes where nothing else is said: as NF4, with other numbers. They are those of a float
// of a sign, two bits of exponent and one of mantissa, as multiples of 1/12; but what follows 0 is 1/16 in place of 1,
// and codes stand in another order than the numbers.
#pragma once

#include "quant_tensor/formats/streams/normal_floats.inl.h"

struct BnbFp4 : Nf4 {
  static constexpr const char* kName = "bnb_fp4";
  static constexpr const char* kSpecification = "bitsandbytes: functional.get_4bit_type, quantize_4bit";
  static constexpr float kTable[16] = {0.f,       0.0625f / 12, 8.f / 12,  12.f / 12,     4.f / 12,  6.f / 12,
                                       2.f / 12,  3.f / 12,     0.f,       -0.0625f / 12, -8.f / 12, -12.f / 12,
                                       -4.f / 12, -6.f / 12,    -2.f / 12, -3.f / 12};
  static constexpr float kUnits = 32640.f;  ///< of 1/192, of which all numbers are multiples, 170

  static float number(const unsigned char* stream, std::int64_t i) { return kTable[code_at(stream, i)]; }
  static float encode(const float* w, float, bool is_finite, unsigned char* stream) {
    return encode_by_table<BnbFp4>(w, is_finite, stream);
  }
};
