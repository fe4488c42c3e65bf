// The tokens of a step, as `kernels::TokenInput`: id, position in its sequence, first cache row of that sequence, and the
// token whose hidden state the output head takes for this row of logits.
struct Token {
    id: u32,
    position: u32,
    cache_start: u32,
    logits_from: u32,
}
