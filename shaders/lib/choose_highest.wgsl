// Greedy: the token with the highest logit.
fn choose(lane: u32, position: u32, best: f32, best_id: u32, end: u32) -> u32 {
    return best_id;
}
