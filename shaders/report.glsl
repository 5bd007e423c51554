// Indices that are out of range: the first is reported in the device's error word, with the ticket that the host gave
// this dispatch.
layout(buffer_reference, std430, buffer_reference_align = 8) buffer ErrorWord {
  uint ticket, pad;
  int64_t index;
};
void report(uint64_t word, uint ticket, int64_t index) {
  ErrorWord error = ErrorWord(word);
  if (atomicCompSwap(error.ticket, 0u, ticket) == 0u) error.index = index;
}
