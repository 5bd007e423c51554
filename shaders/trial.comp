// What tools.cmake tries the compiler, the optimizer and the checker with.
#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#define MATRIX coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

layout(std430, binding = 0) buffer Out { float value; };

void main() {
  MATRIX m = MATRIX(1.0);
  value = m[0];
}
