// A walk over up to four operands of one shape, each with strides of its own. The host has merged the axes that it could,
// and loops over those beyond four itself.
layout(push_constant) uniform Walk {
  uint64_t address[4];  // of each operand's first element
  uvec4 size;           // of the axes, the last one fastest
  ivec4 stride[4];      // of each operand, in its elements
  uvec4 extra;          // what else the operation takes
} walk;

uint walk_count() { return walk.size.x * walk.size.y * walk.size.z * walk.size.w; }
/// This invocation's number; workgroups past the first dimension's limit continue in the second.
uint invocation() { return (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationIndex; }
uint workgroup() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

uvec4 place_of(uint i) {
  const uint w = i % walk.size.w;
  i /= walk.size.w;
  const uint z = i % walk.size.z;
  i /= walk.size.z;
  return uvec4(i / walk.size.y, i % walk.size.y, z, w);
}
/// The address of operand k's element at a place.
uint64_t element(uint k, uvec4 place, uint dtype) {
  const ivec4 stride = walk.stride[k];
  const int64_t at = int64_t(place.x) * stride.x + int64_t(place.y) * stride.y + int64_t(place.z) * stride.z + int64_t(place.w) * stride.w;
  return walk.address[k] + uint64_t(at * int64_t(item_size(dtype)));
}
