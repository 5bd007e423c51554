// What the invocations of a workgroup find out together. A workgroup that is one subgroup needs no shared memory; one
// that a driver has cut into several goes through it.
#extension GL_KHR_shader_subgroup_arithmetic : require

shared float shared_parts[128];

float sum_together(float x) {
  x = subgroupAdd(x);
  if (gl_NumSubgroups == 1) return x;
  barrier();
  if (subgroupElect()) shared_parts[gl_SubgroupID] = x;
  barrier();
  x = 0.0;
  for (uint s = 0; s < gl_NumSubgroups; ++s) x += shared_parts[s];
  return x;
}
float max_together(float x) {
  x = subgroupMax(x);
  if (gl_NumSubgroups == 1) return x;
  barrier();
  if (subgroupElect()) shared_parts[gl_SubgroupID] = x;
  barrier();
  for (uint s = 0; s < gl_NumSubgroups; ++s) x = max(x, shared_parts[s]);
  return x;
}
