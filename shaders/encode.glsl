// Packs rows of floats, a group an invocation. The format's include says `kGroupSize`, and in encode_group how the weights
// that `weight` reads become bytes.
layout(constant_id = 1) const uint kIn = 0;

uint64_t weights_at;
float weight(uint i) { return load_float(kIn, weights_at + uint64_t(int64_t(i) * args.in_column * int64_t(item_size(kIn)))); }
