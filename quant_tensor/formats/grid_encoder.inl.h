// How blocks whose codes name rows of a grid are encoded: a search through all rows, for the scales that leave the
// smallest squared error. Included inside the unnamed namespace of block_formats.cpp, after the blocks and Half.

/// The rows of a block's grid as numbers around zero, number by number, so that a loop over rows runs in vectors.
template <class Block>
struct GridNumbers {
  static constexpr int kRows = std::size(Block::kGrid.v), kRow = std::size(Block::kGrid.v[0]);
  static constexpr int kOrigin = Block::kShiftedRows > 0 ? Block::kZero : 0;
  GridNumbers() {
    for (int r = 0; r < kRows; ++r) {
      for (int i = 0; i < kRow; ++i) {
        number[i][r] = static_cast<float>(Block::kGrid.v[r][i] - kOrigin);
        squares[r] += number[i][r] * number[i][r];
        most = std::max(most, number[i][r]);
      }
    }
  }
  float number[kRow][kRows], squares[kRows] = {}, most = 0;
};
template <class Block>
const GridNumbers<Block>& grid_numbers() {
  static const GridNumbers<Block> numbers;
  return numbers;
}

/// The row that times `unit` is nearest to `x`.
template <class Block>
int nearest_row(const float* x, float unit) {
  using Numbers = GridNumbers<Block>;
  const Numbers& grid = grid_numbers<Block>();
  float misses[Numbers::kRows];  // less Σ x², over unit
  for (int r = 0; r < Numbers::kRows; ++r) misses[r] = unit * grid.squares[r];
  for (int i = 0; i < Numbers::kRow; ++i) {
    const float twice = 2 * x[i];
    for (int r = 0; r < Numbers::kRows; ++r) misses[r] -= twice * grid.number[i][r];
  }
  return static_cast<int>(std::min_element(misses, misses + Numbers::kRows) - misses);
}

/// Rows, and what goes with eight weights: their signs, or in the lowest bit whether a shift is taken off.
template <class Block>
struct GroupOfRows {
  static constexpr int kRow = GridNumbers<Block>::kRow;
  std::uint16_t rows[Block::kGroup / kRow];
  std::uint8_t marks[Block::kGroup / 8];
  float numbers[Block::kGroup];  ///< what they stand for, before scales
};

/// Signs by sign. Where they must be an even number, that of the smallest weight gives way.
template <class Block>
void signed_rows(const float* x, float unit, GroupOfRows<Block>& group) {
  constexpr int kRow = GridNumbers<Block>::kRow;
  const auto& grid = grid_numbers<Block>();
  for (int e = 0; e < Block::kGroup; e += 8) {
    int signs = 0, smallest = 0;
    for (int i = 0; i < 8; ++i) {
      signs |= (x[e + i] < 0) << i;
      if (std::abs(x[e + i]) < std::abs(x[e + smallest])) smallest = i;
    }
    if (Block::kEvenSigns && __builtin_parity(static_cast<unsigned>(signs))) signs ^= 1 << smallest;
    group.marks[e / 8] = static_cast<std::uint8_t>(signs);
    for (int at = 0; at < 8; at += kRow) {
      float target[kRow];
      for (int i = 0; i < kRow; ++i) target[i] = signs >> (at + i) & 1 ? -x[e + at + i] : x[e + at + i];
      const int row = nearest_row<Block>(target, unit);
      group.rows[(e + at) / kRow] = static_cast<std::uint16_t>(row);
      for (int i = 0; i < kRow; ++i) {
        group.numbers[e + at + i] = signs >> (at + i) & 1 ? -grid.number[i][row] : grid.number[i][row];
      }
    }
  }
}

/// All numbers of some rows one more or one less, whichever fits better.
template <class Block>
void shifted_rows(const float* x, float unit, GroupOfRows<Block>& group) {
  constexpr int kShared = Block::kShiftedRows;
  const auto& grid = grid_numbers<Block>();
  for (int first = 0; first < Block::kGroup / 8; first += kShared) {
    double least = std::numeric_limits<double>::infinity();
    for (int less = 0; less < 2; ++less) {
      const auto shift = static_cast<float>(1 - 2 * less);
      int rows[kShared];
      double error = 0;
      for (int r = 0; r < kShared; ++r) {
        float target[8];
        for (int i = 0; i < 8; ++i) target[i] = x[8 * (first + r) + i] - unit * shift;
        rows[r] = nearest_row<Block>(target, unit);
        for (int i = 0; i < 8; ++i) {
          const double miss = target[i] - unit * grid.number[i][rows[r]];
          error += miss * miss;
        }
      }
      if (!(error < least)) continue;
      least = error;
      for (int r = 0; r < kShared; ++r) {
        group.rows[first + r] = static_cast<std::uint16_t>(rows[r]);
        group.marks[first + r] = static_cast<std::uint8_t>(less);
        for (int i = 0; i < 8; ++i) group.numbers[8 * (first + r) + i] = grid.number[i][rows[r]] + shift;
      }
    }
  }
}

template <class Block>
GroupOfRows<Block> rows_for(const float* x, float unit) {
  GroupOfRows<Block> group;
  if constexpr (Block::kShiftedRows > 0) {
    shifted_rows<Block>(x, unit, group);
  } else {
    signed_rows<Block>(x, unit, group);
  }
  return group;
}

/// The unit for a group: several that the largest weight suggests, each with the one that fits its rows best.
template <class Block>
float fit_to_grid(const float* x) {
  // Of a grid of three numbers, most of which are ones, the largest weight lies far beyond the last.
  constexpr float kFirst = 0.75f, kStep = Block::kBits == 1 ? 1.16f : 1.07f;
  constexpr int kSteps = 9;
  float most = 0;
  for (int i = 0; i < Block::kGroup; ++i) most = std::max(most, std::abs(x[i]));
  if (most == 0) return 0;
  float unit = most / grid_numbers<Block>().most / kFirst, best = unit;
  double gained = 0;
  for (int step = 0; step < kSteps; ++step, unit /= kStep) {
    const GroupOfRows<Block> group = rows_for<Block>(x, unit);
    double products = 0, squares = 0;
    for (int i = 0; i < Block::kGroup; ++i) {
      products += static_cast<double>(x[i]) * group.numbers[i];
      squares += static_cast<double>(group.numbers[i]) * group.numbers[i];
    }
    if (!(products > 0) || products * products <= gained * squares) continue;
    gained = products * products / squares;
    best = static_cast<float>(products / squares);
  }
  return best;
}

/// What a stored scale is times d: as the block itself reads it.
template <class Block>
std::array<float, Block::kTopScale + 1> grid_units() {
  std::array<float, Block::kTopScale + 1> units;
  for (int s = 0; s <= Block::kTopScale; ++s) {
    typename Block::Parts parts{.d = Half(1).bits};
    std::fill(std::begin(parts.scales), std::end(parts.scales), static_cast<std::uint8_t>(s));
    unsigned char block[Block::kBytes];
    float scales[kGroups<Block>];
    Block::pack(parts, block);
    Block::scales(block, scales);
    units[static_cast<std::size_t>(s)] = scales[0];
  }
  return units;
}

template <class Block>
void encode_to_grid(const float* x, float spoiled, unsigned char* block) {
  constexpr int kTop = Block::kTopScale, kGroup = Block::kGroup;
  static const auto units = grid_units<Block>();
  float fits[kGroups<Block>], largest = 0;
  for (int g = 0; g < kGroups<Block>; ++g) {
    fits[g] = fit_to_grid<Block>(x + g * kGroup);
    largest = std::max(largest, fits[g]);
  }
  const Half d(largest / units[kTop] + spoiled);
  typename Block::Parts parts{.d = d.bits};
  for (int g = 0; g < kGroups<Block>; ++g) {
    int nearest = 0;  // the first scale that is no less than what fits
    while (nearest < kTop && d.value * units[static_cast<std::size_t>(nearest)] < fits[g]) ++nearest;
    double least = std::numeric_limits<double>::infinity();
    for (int s = std::max(nearest - 1, 0); s <= nearest; ++s) {
      const float unit = d.value * units[static_cast<std::size_t>(s)];
      const GroupOfRows<Block> group = rows_for<Block>(x + g * kGroup, unit);
      double error = 0;
      for (int i = 0; i < kGroup; ++i) {
        const double miss = static_cast<double>(x[g * kGroup + i]) - unit * group.numbers[i];
        error += miss * miss;
      }
      if (!(error < least)) continue;
      least = error;
      parts.scales[g] = static_cast<std::uint8_t>(s);
      std::copy(std::begin(group.rows), std::end(group.rows), parts.rows + g * std::size(group.rows));
      std::copy(std::begin(group.marks), std::end(group.marks), parts.marks + g * std::size(group.marks));
    }
  }
  Block::pack(parts, block);
}
