#include "adapters/hosts/python/dlpack.h"

#include <array>

namespace nb = nanobind;

namespace nibble {
namespace hosts {
namespace dlpack {
namespace {

constexpr std::uint8_t kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6;  // DLDataTypeCode

struct Row {
  DType dtype;
  std::uint8_t code, bits;
};
constexpr std::array kRows = {Row{DType::f32, kFloat, 32},  Row{DType::f16, kFloat, 16}, Row{DType::bf16, kBfloat, 16},
                              Row{DType::f64, kFloat, 64},  Row{DType::i8, kInt, 8},     Row{DType::u8, kUInt, 8},
                              Row{DType::i16, kInt, 16},    Row{DType::u16, kUInt, 16},  Row{DType::i32, kInt, 32},
                              Row{DType::u32, kUInt, 32},   Row{DType::i64, kInt, 64},   Row{DType::u64, kUInt, 64},
                              Row{DType::boolean, kBool, 8}};

}  // namespace

std::optional<nb::dlpack::dtype> to_dlpack(DType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return nb::dlpack::dtype{row.code, row.bits, 1};
  }
  return std::nullopt;
}

std::optional<DType> from_dlpack(nb::dlpack::dtype dtype) {
  for (const Row& row : kRows) {
    if (dtype.lanes == 1 && row.code == dtype.code && row.bits == dtype.bits) return row.dtype;
  }
  return std::nullopt;
}

const Exchange* exchange_of(nb::handle type) {
  const nb::object capsule = nb::getattr(type, "__dlpack_c_exchange_api__", nb::none());
  if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return nullptr;
  const auto* table = static_cast<const Exchange*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  while (table && table->version.major > 1) table = table->older;
  return table && table->version.major == 1 && table->look ? table : nullptr;
}

}  // namespace dlpack
}  // namespace hosts
}  // namespace nibble
