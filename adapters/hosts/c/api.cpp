#include "adapters/hosts/c/handles.h"

namespace nibble {
namespace hosts {
namespace {

nibble_api make_api() {
  nibble_api api{};
  api.struct_size = sizeof(nibble_api);
  api.version = NIBBLE_API_VERSION;
  api.library_version = NIBBLE_VERSION;
  api.ops = &kOpEntries;
  add_context(api);
  add_tensors(api);
  add_packed(api);
  add_files(api);
  add_queries(api);
  add_vulkan(api);
  return api;
}

}  // namespace
}  // namespace hosts
}  // namespace nibble

const nibble_api* nibble_get_api(std::uint32_t version) {
  static const nibble_api api = nibble::hosts::make_api();
  return version == NIBBLE_API_VERSION ? &api : nullptr;
}
