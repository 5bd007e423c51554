#include "backend/cpu/units/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_math.h"
#include "backend/cpu/strided.h"
#include "backend/cpu/units/select.h"
#include "nibble/error.h"

namespace nibble {
inline namespace v0 {
namespace detail {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Sizes {
  std::int64_t batch, heads, kv_heads, queries, keys, depth, width;
  std::int64_t group() const { return heads / kv_heads; }
};

/// A 4-D operand by its strides, read as floats.
struct Source {
  const std::byte* data;
  DType dtype;
  std::int64_t stride[4];

  explicit Source(const Tensor& t) : data(bytes_of(t)), dtype(t.dtype()) {
    for (int a = 0; a < 4; ++a) stride[a] = t.impl().strides[a];
  }

  /// Row (b, h, i) of n elements to `out`, each times `scale`.
  void read_row(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t n, float scale,
                float* __restrict out) const {
    visit_dtype(FloatElements{}, dtype, [&]<class T>(T) {
      const T* x = reinterpret_cast<const T*>(data) + b * stride[0] + h * stride[1] + i * stride[2];
      if (stride[3] == 1) {
        for (std::int64_t c = 0; c < n; ++c) out[c] = widen(x[c]) * scale;
      } else {
        for (std::int64_t c = 0; c < n; ++c) out[c] = widen(x[c * stride[3]]) * scale;
      }
    });
  }

  /// Rows [begin, begin + count) of head (b, h), where they lie if they are floats side by side, else converted to
  /// `room`.
  const float* rows(std::int64_t b, std::int64_t h, std::int64_t begin, std::int64_t count, std::int64_t n, float* room,
                    std::int64_t* row_stride) const {
    if (dtype == DType::f32 && (stride[3] == 1 || n == 1)) {
      *row_stride = stride[2];
      return reinterpret_cast<const float*>(data) + b * stride[0] + h * stride[1] + begin * stride[2];
    }
    for (std::int64_t j = 0; j < count; ++j) read_row(b, h, begin + j, n, 1.0f, room + j * n);
    *row_stride = n;
    return room;
  }
};

/// The memory of one task, kept by its thread.
struct Workspace {
  std::vector<float> q, k, v, turned, scores, bias, out, largest;
  std::vector<double> total;
  std::vector<std::int64_t> visible, limit;

  void reset(const Sizes& s, std::int64_t rows, bool masked) {
    const auto grow = [](std::vector<float>& x, std::int64_t n) {
      if (static_cast<std::int64_t>(x.size()) < n) x.resize(static_cast<std::size_t>(n));
    };
    grow(q, rows * s.depth);
    grow(k, kTileKeys * s.depth);
    grow(v, kTileKeys * s.width);
    grow(turned, kTileKeys * s.depth);
    grow(scores, rows * kTileKeys);
    if (masked) grow(bias, rows * kTileKeys);
    out.assign(static_cast<std::size_t>(rows * s.width), 0.0f);
    largest.assign(static_cast<std::size_t>(rows), -kInfinity);
    total.assign(static_cast<std::size_t>(rows), 0.0);
    visible.resize(static_cast<std::size_t>(rows));
    limit.resize(static_cast<std::size_t>(rows));
  }
};

class Attention {
 public:
  Attention(const Sizes& sizes, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double scale,
            bool causal, std::vector<std::int64_t> lengths, const Tensor& out)
      : s_(sizes),
        q_(q),
        k_(k),
        v_(v),
        mask_(mask),
        scale_(static_cast<float>(scale)),
        causal_(causal),
        lengths_(std::move(lengths)),
        out_(out) {}

  void run() const {
    const std::int64_t rows = s_.queries * s_.group();
    const std::int64_t blocks = (rows + kTileRows - 1) / kTileRows;
    const std::int64_t cost = std::min(rows, kTileRows) * s_.keys * (s_.depth + s_.width) / 4;
    parallel_rows(s_.batch * s_.kv_heads * blocks, cost, [&](std::int64_t task) {
      const std::int64_t block = task % blocks, head = task / blocks % s_.kv_heads, b = task / blocks / s_.kv_heads;
      const std::int64_t first = block * kTileRows;
      run_block(b, head, first, std::min(kTileRows, rows - first));
    });
  }

 private:
  // The rows of a key's head: query after query, and for each the heads of the group, so that a block of rows sees
  // about the same keys. Row r is query r / group of head head·group + r % group.
  std::int64_t query_of(std::int64_t r) const { return r / s_.group(); }
  std::int64_t head_of(std::int64_t kv_head, std::int64_t r) const { return kv_head * s_.group() + r % s_.group(); }

  void run_block(std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t rows) const {
    thread_local Workspace w;
    w.reset(s_, rows, mask_.defined());
    std::int64_t end = 0;
    const std::int64_t length = lengths_[static_cast<std::size_t>(b)];
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t i = query_of(first + r);
      q_.read_row(b, head_of(head, first + r), i, s_.depth, scale_, w.q.data() + r * s_.depth);
      const std::int64_t limit = causal_ ? std::clamp<std::int64_t>(length - s_.queries + i + 1, 0, length) : length;
      w.limit[static_cast<std::size_t>(r)] = limit;
      end = std::max(end, limit);
    }
    for (std::int64_t key = 0; key < end; key += kTileKeys) {
      run_tile(w, b, head, first, rows, key, std::min(kTileKeys, end - key));
    }
    write(w, b, head, first, rows);
  }

  void run_tile(Workspace& w, std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t rows,
                std::int64_t key, std::int64_t keys) const {
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
      w.visible[r] = std::clamp<std::int64_t>(w.limit[r] - key, 0, keys);
    }
    AttentionTile tile{};
    tile.rows = rows;
    tile.keys = keys;
    tile.depth = s_.depth;
    tile.width = s_.width;
    tile.q = w.q.data();
    tile.k = k_.rows(b, head, key, keys, s_.depth, w.k.data(), &tile.k_stride);
    tile.v = v_.rows(b, head, key, keys, s_.width, w.v.data(), &tile.v_stride);
    tile.visible = w.visible.data();
    tile.bias = mask_.defined() ? read_mask(w, b, head, first, rows, key, keys) : nullptr;
    tile.turned_k = w.turned.data();
    tile.scores = w.scores.data();
    tile.out = w.out.data();
    tile.largest = w.largest.data();
    tile.total = w.total.data();
    tile.deterministic = deterministic_;
    attend_(tile);
  }

  const float* read_mask(Workspace& w, std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t rows,
                         std::int64_t key, std::int64_t keys) const {
    const Strides& stride = mask_.impl().strides;
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t at =
          b * stride[0] + head_of(head, first + r) * stride[1] + query_of(first + r) * stride[2] + key * stride[3];
      float* bias = w.bias.data() + r * kTileKeys;
      if (mask_.dtype() == DType::boolean) {
        const bool* seen = data_of<bool>(mask_) + at;
        for (std::int64_t j = 0; j < keys; ++j) bias[j] = seen[j * stride[3]] ? 0.0f : -kInfinity;
      } else {
        const float* added = data_of<float>(mask_) + at;
        for (std::int64_t j = 0; j < keys; ++j) bias[j] = added[j * stride[3]];
      }
    }
    return w.bias.data();
  }

  void write(const Workspace& w, std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t rows) const {
    visit_dtype(FloatElements{}, out_.dtype(), [&]<class T>(T) {
      for (std::int64_t r = 0; r < rows; ++r) {
        const double total = w.total[static_cast<std::size_t>(r)];
        const float scale = total == 0 ? 0.0f : static_cast<float>(1.0 / total);
        const std::int64_t at =
            ((b * s_.heads + head_of(head, first + r)) * s_.queries + query_of(first + r)) * s_.width;
        T* to = mutable_data<T>(out_) + at;
        const float* from = w.out.data() + r * s_.width;
        for (std::int64_t c = 0; c < s_.width; ++c) to[c] = narrow<T>(from[c] * scale);
      }
    });
  }

  Sizes s_;
  Source q_, k_, v_;
  Tensor mask_;
  float scale_;
  bool causal_;
  std::vector<std::int64_t> lengths_;
  Tensor out_;
  bool deterministic_ = options().deterministic;
  AttendFunction attend_ = attend_function(cpu::current_unit().name);
};

/// How many keys each batch entry has; checked.
std::vector<std::int64_t> lengths_of(const Tensor& key_length, const Sizes& s) {
  if (!key_length.defined()) return std::vector<std::int64_t>(static_cast<std::size_t>(s.batch), s.keys);
  const std::vector<std::int32_t> values = key_length.to_vector<std::int32_t>();
  for (const std::int64_t n : values) {
    if (n < 0 || n > s.keys) {
      throw Error(ErrorCode::out_of_range,
                  fmt::format("[scaled_dot_product_attention] key length {} of {} keys", n, s.keys));
    }
  }
  return {values.begin(), values.end()};
}

}  // namespace

AttendFunction attend_function(const char* unit) {
  struct Row {
    std::string_view unit;
    AttendFunction attend;
  };
  constexpr Row kTable[] = {
#if defined(__x86_64__)
    {"avx512", attend_avx512},
    {"avx2", attend_avx2},
#endif
    {"scalar", attend_scalar},
  };
  for (const Row& row : kTable) {
    if (row.unit == unit) return row.attend;
  }
  throw Error(ErrorCode::invalid_argument, fmt::format("[cpu] no attention for the unit {}", unit));
}

void CpuBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool causal,
                           const Tensor& mask, const Tensor& key_length, const Tensor& out) {
  const Sizes sizes{q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3), v.size(3)};
  if (out.numel() == 0) return;
  Attention(sizes, q, k, v, mask, scale, causal, lengths_of(key_length, sizes), out).run();
}

}  // namespace detail
}  // namespace v0
}  // namespace nibble
