// What rounding a row of activations loses. Included inside a unit's unnamed namespace, after its vectors of floats.

/// Lane by lane. Whatever the weights, no sum is further off than ‖x − x̂‖ · ‖w‖ (Cauchy and Schwarz): a row whose
/// share ‖x − x̂‖ / ‖x‖ stays below a bound holds it for every product.
class Rounding {
 public:
  /// n activations that became multiples of `unit`, which is zero where all of them are.
  void add(const float* x, int n, float inverse, float unit) {
    for (int i = 0; i < n; i += kLanes) {
      const F value = load_f32(x + i);
      const F miss = fma(broadcast(-unit), round(mul(value, broadcast(inverse))), value);
      lost_ = fma(miss, miss, lost_);
      all_ = fma(value, value, all_);
    }
    any_ = any_ || unit != 0;
  }
  /// False also where squares leave fp32's range.
  bool stays_below(float share) const {
    const float all = sum(all_);
    return !any_ || (all >= 1e-30f && all <= 1e37f && sum(lost_) <= share * share * all);
  }

 private:
  F lost_ = broadcast(0), all_ = broadcast(0);
  bool any_ = false;
};

/// The bounds of fast and of standard, less what sums in fp32 may lose.
template <class Scheme>
constexpr float kMostLost = Scheme::kMost > 127 ? 0.95e-4f : 1.99e-2f;
/// Less what weights lose that are rounded, too.
template <class Scheme>
requires requires { Scheme::kLostByWeights; }
constexpr float kMostLost<Scheme> = (Scheme::kMost > 127 ? 0.95e-4f : 1.99e-2f) - Scheme::kLostByWeights;
