// A product with many rows of x by cooperative matrices. Codes of w are exact in f16, and so are their products with the numbers
// that stand for x: scales, biases and sums stay fp32. A piece of w passes through shared memory as codes; scales become
// matrices whose rows are all alike.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

layout(buffer_reference, std430, buffer_reference_align = 16) buffer Halves { float16_t value[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float value[]; };

const uint kDepth = 64;                    // places along k that pass through shared memory at a time
const uint kPitch = kDepth + 8;            // of a row of w there
const uint kFolds = kDepth / 16;           // places for scales there
shared float16_t w_tile[kTileN * kPitch];
shared float scales[kFolds * kTileN], biases[kFolds * kTileN];
shared float y_tile[4 * kM * kN];

#define X_MATRIX coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA>
#define W_MATRIX coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB>
#define Y_MATRIX coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>

/// Four codes as numbers, from place i on: bytes in the lowest bits of 1024 and, where they are signed, 128 more than they are.
void write_codes(uint i, uint four) {
  if (!kShifted) four ^= 0x80808080u;
  const f16vec2 zero = f16vec2(kShifted ? 1024.0 : 1152.0);
  const f16vec2 low = unpackFloat2x16(four & 0xffu | (four & 0xff00u) << 8 | 0x64006400u) - zero;
  const f16vec2 high = unpackFloat2x16(four >> 16 & 0xffu | (four & 0xff000000u) >> 8 | 0x64006400u) - zero;
  w_tile[i] = low.x;
  w_tile[i + 1] = low.y;
  w_tile[i + 2] = high.x;
  w_tile[i + 3] = high.y;
}

void load_tile(uint n0, uint k0) {
  for (uint piece = gl_LocalInvocationIndex; piece < kTileN * (kDepth / 32); piece += gl_WorkGroupSize.x) {
    const uint n = piece % kTileN, half_of_depth = piece / kTileN, k = k0 + 32 * half_of_depth;
    Codes c;
    for (uint i = 0; i < 8; ++i) c.four[i] = 0u;
    c.scale = c.bias = vec2(0.0);
    if (k < args.k) codes_32(min(n0 + n, args.n - 1), k, c);
    for (uint i = 0; i < 8; ++i) write_codes(n * kPitch + 32 * half_of_depth + 4 * i, c.four[i]);
    for (uint h = 0; h < 2; ++h) {
      const bool is_there = k + 16 * h < args.k;
      const uint at = (2 * half_of_depth + h) * kTileN + n;
      scales[at] = is_there ? c.scale[h] : 0.0;
      biases[at] = is_there && kShifted ? c.bias[h] : 0.0;
    }
  }
}

/// An element from x and w themselves, for rows that hold what is not finite.
float exact_element(uint m, uint n, uvec2 places) {
  float sum = 0.0;
  for (uint k = places.x; k < places.y; k += 32) {
    float w[32];
    decode_32(n, k, w);
    for (uint i = 0; i < 32 && k + i < args.k; ++i) sum += w[i] * read_x(x_row(m), k + i);
  }
  return sum;
}

void main() {
  const uvec2 tile = own_tile(pieces(args.n, kTileN)), places = own_k();
  const uint n0 = tile.x * kTileN, m0 = tile.y * kTileM;
  if (m0 >= args.m) return;
  // Of more subgroups than four, which a device makes of a workgroup where it takes smaller ones, the rest only loads.
  const bool multiplies = gl_SubgroupID < 4;
  const uint own_n = gl_SubgroupID % 2 * kMatrices * kN, own_m = m0 + gl_SubgroupID / 2 * kMatrices * kM;
  Y_MATRIX y[kMatrices * kMatrices];
  Y_MATRIX part[kMatrices * kMatrices];
  Y_MATRIX power[kMatrices];
  for (uint i = 0; i < kMatrices && multiplies; ++i) {
    coopMatLoad(power[i], Floats(powers_at()).value, own_m + i * kM, 0, gl_CooperativeMatrixLayoutColumnMajor);
    for (uint j = 0; j < kMatrices; ++j) {
      y[i * kMatrices + j] = Y_MATRIX(0.0);
      part[i * kMatrices + j] = Y_MATRIX(0.0);
    }
  }
  for (uint k0 = places.x; k0 < places.y; k0 += kDepth) {
    load_tile(n0, k0);
    barrier();
    for (uint k = 0; k < kDepth && multiplies; k += kK) {
      W_MATRIX w[kMatrices];
      for (uint j = 0; j < kMatrices; ++j) {
        coopMatLoad(w[j], w_tile, (own_n + j * kN) * kPitch + k, kPitch, gl_CooperativeMatrixLayoutColumnMajor);
      }
      for (uint i = 0; i < kMatrices; ++i) {
        for (uint h = 0; h < kHalves; ++h) {
          X_MATRIX x;
          coopMatLoad(x, Halves(halves_at(own_m + i * kM)).value, h * padded_k() + k0 + k, padded_k() * kHalves,
                      gl_CooperativeMatrixLayoutRowMajor);
          for (uint j = 0; j < kMatrices; ++j) part[i * kMatrices + j] = coopMatMulAdd(x, w[j], part[i * kMatrices + j]);
        }
      }
      if ((k0 + k + kK) % kFold != 0) continue;
      for (uint j = 0; j < kMatrices; ++j) {
        Y_MATRIX scale;
        Y_MATRIX bias;
        const uint at = k / 16 * kTileN + own_n + j * kN;
        coopMatLoad(scale, scales, at, 0, gl_CooperativeMatrixLayoutRowMajor);
        coopMatLoad(bias, biases, at, 0, gl_CooperativeMatrixLayoutRowMajor);
        for (uint i = 0; i < kMatrices; ++i) {
          y[i * kMatrices + j] += part[i * kMatrices + j] * power[i] * scale;
          if (kShifted) {
            Y_MATRIX sum;
            coopMatLoad(sum, Floats(sums_at(k0 + k)).value, own_m + i * kM, 0, gl_CooperativeMatrixLayoutColumnMajor);
            y[i * kMatrices + j] += sum * bias;
          }
          part[i * kMatrices + j] = Y_MATRIX(0.0);
        }
      }
    }
    barrier();
  }
  for (uint i = 0; i < kMatrices; ++i) {
    for (uint j = 0; j < kMatrices; ++j) {
      const uint staged = gl_SubgroupID * kM * kN;
      if (multiplies) coopMatStore(y[i * kMatrices + j], y_tile, staged, kN, gl_CooperativeMatrixLayoutRowMajor);
      barrier();
      for (uint e = gl_SubgroupInvocationID; e < kM * kN && multiplies; e += gl_SubgroupSize) {
        const uint m = own_m + i * kM + e / kN, n = n0 + own_n + j * kN + e % kN;
        if (m >= args.m || n >= args.n) continue;
        const bool is_plain = !isnan(uintBitsToFloat(Word(powers_at() + m * 4).value));
        write_y(y_row(m), n, is_plain ? y_tile[staged + e] : exact_element(m, n, places));
      }
      barrier();
    }
  }
}
