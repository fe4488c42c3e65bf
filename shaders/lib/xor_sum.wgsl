// The sum of what each of `lanes` neighbours in a subgroup has, a power of two up to 64. Each step adds what a lane and its partner have, so all of them
// end with the same bits, whatever the size of the subgroup. `Sum` is a number or a vector.
// By hand: compilers do not unroll a loop that halves, and a distance that they know is an instruction instead of a trip through memory.
fn xor_sum(own: Sum, lanes: u32) -> Sum {
    var sum = own;
    if lanes > 32u {
        sum += subgroupShuffleXor(sum, 32u);
    }
    if lanes > 16u {
        sum += subgroupShuffleXor(sum, 16u);
    }
    if lanes > 8u {
        sum += subgroupShuffleXor(sum, 8u);
    }
    if lanes > 4u {
        sum += subgroupShuffleXor(sum, 4u);
    }
    if lanes > 2u {
        sum += subgroupShuffleXor(sum, 2u);
    }
    if lanes > 1u {
        sum += subgroupShuffleXor(sum, 1u);
    }
    return sum;
}
