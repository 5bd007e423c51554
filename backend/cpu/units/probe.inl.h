// Probe loops, written once. Included inside a unit's unnamed namespace, after its Bytes (an integer vector) and
// load_bytes, add_bytes, and hide: makes the compiler believe that a vector is read and changed, so that it folds no
// loop and drops no sum.

/// kStreams runs side by side, as a product with so many packed rows reads them; kAhead bytes of each asked for in
/// advance.
template <int kStreams, int kAhead>
void read(const unsigned char* p, std::int64_t bytes) {
  constexpr std::int64_t kVector = sizeof(Bytes), kRun = kProbeChunk / kStreams, kStep = 128;
  Bytes sums[kStreams][2] = {};
  for (const unsigned char* const end = p + bytes; p < end; p += kProbeChunk) {
    for (std::int64_t i = 0; i < kRun; i += kStep) {
      for (int s = 0; s < kStreams; ++s) {
        const unsigned char* line = p + s * kRun + i;
        if constexpr (kAhead != 0) {
          for (int l = 0; l < kStep; l += 64) __builtin_prefetch(line + kAhead + l);
        }
        for (int v = 0; v < kStep; v += 2 * kVector) {
          sums[s][0] = add_bytes(sums[s][0], load_bytes(line + v));
          sums[s][1] = add_bytes(sums[s][1], load_bytes(line + v + kVector));
        }
      }
    }
  }
  for (int s = 0; s < 2 * kStreams; ++s) hide(sums[s / 2][s % 2]);
}

constexpr Reader kReaders[] = {{"one stream", read<1, 0>},
                               {"one stream, prefetched", read<1, 1024>},
                               {"four rows", read<4, 0>},
                               {"four rows, prefetched", read<4, 1024>}};
constexpr int kReaderCount = sizeof(kReaders) / sizeof(Reader);

/// kChains sums that do not wait for one another, each the target of Step's instructions once a round.
template <class Step, int kChains>
void chains(std::int64_t rounds) {
  Bytes a = {}, b = {};
  typename Step::Sum sums[kChains] = {};
  hide(a);
  for (int c = 0; c < kChains; ++c) hide(sums[c]);  // else one would stand for all
  for (std::int64_t r = 0; r < rounds; ++r) Step::template round<kChains>(sums, a, b);
  for (int c = 0; c < kChains; ++c) hide(sums[c]);
}

/// Sums straight into the chain: fused multiply-adds, dot products.
template <class Op>
struct Accumulating {
  using Sum = typename Op::Sum;
  template <int kChains>
  static void round(Sum* sums, Bytes& a, Bytes& b) {
    for (int c = 0; c < kChains; ++c) {
      hide(b);  // else one product could serve every chain
      sums[c] = Op::add_product(sums[c], a, b);
    }
  }
};

/// kSteps products summed in 16 bits, then widened.
template <class Op, int kSteps>
struct Widening {
  using Sum = Bytes;
  template <int kChains>
  static void round(Sum* sums, Bytes& a, Bytes& b) {
    Bytes narrow[kChains];
    for (int c = 0; c < kChains; ++c) {
      hide(b);
      narrow[c] = Op::product(a, b);
    }
    for (int s = 1; s < kSteps; ++s) {
      for (int c = 0; c < kChains; ++c) {
        hide(b);
        narrow[c] = Op::add_narrow(narrow[c], Op::product(a, b));
        hide(narrow[c]);  // as few sums at a time as there are registers
      }
    }
    for (int c = 0; c < kChains; ++c) sums[c] = Op::add_wide(sums[c], narrow[c]);
  }
};

template <class Op, int kChains>
constexpr ArithmeticLoop accumulating(ProbedArithmetic kind, const char* name) {
  return {kind, name, 2 * Op::kProducts * kChains, chains<Accumulating<Op>, kChains>};
}
template <class Op, int kSteps, int kChains>
constexpr ArithmeticLoop widening(ProbedArithmetic kind, const char* name) {
  return {kind, name, 2 * Op::kProducts * kChains * kSteps, chains<Widening<Op, kSteps>, kChains>};
}
