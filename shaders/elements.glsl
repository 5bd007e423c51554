// Elements of every dtype, read and written at device addresses. A dtype is a specialization constant, so that what is
// written here as a chain of comparisons is nothing but the one access in the pipeline.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require

layout(local_size_x_id = 0) in;

// DType's order.
const uint kF32 = 0, kF16 = 1, kBf16 = 2, kF64 = 3, kI8 = 4, kU8 = 5, kI16 = 6, kU16 = 7, kI32 = 8, kU32 = 9, kI64 = 10,
           kU64 = 11, kBool = 12, kE4m3 = 13, kE5m2 = 14;

layout(buffer_reference, std430, buffer_reference_align = 1) buffer Byte { uint8_t value; };
layout(buffer_reference, std430, buffer_reference_align = 2) buffer Half { uint16_t value; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Word { uint value; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Long { uint64_t value; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Quad { uvec4 value; };

bool is_float(uint dtype) { return dtype <= kBf16; }
uint item_size(uint dtype) {
  if (dtype == kF32 || dtype == kI32 || dtype == kU32) return 4;
  if (dtype == kI64 || dtype == kU64 || dtype == kF64) return 8;
  return dtype == kI8 || dtype == kU8 || dtype >= kBool ? 1 : 2;
}

// Conversions by bits: what packHalf2x16 rounds to, and whether subnormals survive, devices may choose.
float float_of_half(uint bits) {
  const uint magnitude = bits & 0x7fffu;
  const float sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
  if (magnitude < 0x400u) return sign * (float(magnitude) * 5.9604644775390625e-8);  // subnormal: units of 2^-24
  const uint exponent = magnitude >= 0x7c00u ? 0x38000000u + 0x38000000u : 0x38000000u;
  return uintBitsToFloat((magnitude << 13) + exponent | (bits & 0x8000u) << 16);
}
uint half_of_float(float x) {
  const uint bits = floatBitsToUint(x), magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;  // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to 65536 or more
  if (magnitude >= 0x38800000u) return sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // Subnormal: the value in units of 2^-24, exact but for one rounding to nearest even.
  return sign | uint(roundEven(uintBitsToFloat(magnitude) * 16777216.0));
}
uint bf16_of_float(float x) {
  const uint bits = floatBitsToUint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
  return bits + 0x7fffu + (bits >> 16 & 1u) >> 16;
}

float load_float(uint dtype, uint64_t address) {
  if (dtype == kF16) return float_of_half(uint(Half(address).value));
  if (dtype == kBf16) return uintBitsToFloat(uint(Half(address).value) << 16);
  return uintBitsToFloat(Word(address).value);
}
void store_float(uint dtype, uint64_t address, float x) {
  if (dtype == kF16) {
    Half(address).value = uint16_t(half_of_float(x));
  } else if (dtype == kBf16) {
    Half(address).value = uint16_t(bf16_of_float(x));
  } else {
    Word(address).value = floatBitsToUint(x);
  }
}

/// By the high word: drivers were seen to compare 64 bits with 0 as if they had no sign.
bool is_negative(int64_t x) { return int(unpackUint2x32(uint64_t(x)).y) < 0; }

// Integers of every width, and booleans, are computed with as 64 bits: what is stored is their value modulo the width.
int64_t load_integer(uint dtype, uint64_t address) {
  if (dtype == kI64 || dtype == kU64) return int64_t(Long(address).value);
  if (dtype == kI32) return int64_t(int(Word(address).value));
  if (dtype == kU32) return int64_t(Word(address).value);
  if (dtype == kI16) return int64_t(int(uint(Half(address).value) << 16) >> 16);
  if (dtype == kU16) return int64_t(uint(Half(address).value));
  if (dtype == kI8) return int64_t(int(uint(Byte(address).value) << 24) >> 24);
  return int64_t(uint(Byte(address).value));
}
void store_integer(uint dtype, uint64_t address, int64_t x) {
  const uint size = item_size(dtype);
  if (size == 8) {
    Long(address).value = uint64_t(x);
  } else if (size == 4) {
    Word(address).value = uint(x);
  } else if (size == 2) {
    Half(address).value = uint16_t(uint(x) & 0xffffu);
  } else {
    Byte(address).value = uint8_t(uint(x) & 0xffu);
  }
}
