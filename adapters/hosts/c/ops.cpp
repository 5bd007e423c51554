// The C entries of the plain ops, one for each row of the table.

#include <utility>

#include "adapters/hosts/c/arguments.h"
#include "adapters/hosts/op_table.h"

namespace nibble {
namespace hosts {
namespace {

template <std::size_t I, class Function>
struct Entry;

template <std::size_t I, class Result, class... Args>
struct Entry<I, Result(Args...)> {
  static nibble_status call(nibble_context* context, typename In<Args>::Type... in, typename Out<Result>::Type* out,
                            nibble_error** error) {
    return guarded(context, error, [&] {
      required(out, "out");
      give(std::get<I>(kOps).function(In<Args>::from(in)...), out);
    });
  }
};

template <std::size_t I>
constexpr auto entry() {
  using Function = std::remove_pointer_t<decltype(std::get<I>(kOps).function)>;
  return &Entry<I, Function>::call;
}

// A member of nibble_ops that is missing, or of another type than its row's function, does not compile.
template <std::size_t... I>
constexpr nibble_ops make_entries(std::index_sequence<I...>) {
  return {sizeof(nibble_ops), entry<I>()...};
}

}  // namespace

extern constexpr nibble_ops kOpEntries = make_entries(std::make_index_sequence<kOpCount>{});

}  // namespace hosts
}  // namespace nibble
