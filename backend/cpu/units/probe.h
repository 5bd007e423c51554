#pragma once

#include <cstdint>

/// Loops that show what an instruction set can do at most. Like units, each source is compiled for its instruction set
/// and emits nothing with external linkage but its table.
namespace nibble {
inline namespace v0 {
namespace detail {
namespace cpu {

/// Reads `bytes` bytes, a multiple of kProbeChunk.
struct Reader {
  const char* name;
  void (*run)(const unsigned char* p, std::int64_t bytes);
};
inline constexpr std::int64_t kProbeChunk = std::int64_t{256} << 10;

/// nibble::Arithmetic, whose header a unit's file must not see.
enum class ProbedArithmetic : std::uint8_t { fp32, bf16, int16, int8 };
struct ArithmeticLoop {
  ProbedArithmetic kind;
  const char* name;
  int operations;  ///< of one round
  void (*run)(std::int64_t rounds);
};

struct Probes {
  const Reader* readers;
  int reader_count;
  const ArithmeticLoop* loops;
  int loop_count;
};

extern const Probes kScalarProbes;
#if defined(__x86_64__)
extern const Probes kAvx2Probes;
extern const Probes kAvx512Probes;
extern const Probes kAvx512Bf16Probes;  ///< what processors of the unit avx512 may have beside it
#elif defined(__aarch64__)
extern const Probes kNeonProbes;
#endif

}  // namespace cpu
}  // namespace detail
}  // namespace v0
}  // namespace nibble
