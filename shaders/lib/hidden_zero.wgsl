// 0, which the compiler cannot know: there is one layer of workgroups. Mesa's software driver compiles a shader anew for every
// dispatch when it thinks that knowing a loop's bound would make it smaller; a bound that is no plain uniform stops that.
fn hidden_zero(workgroup: vec3<u32>) -> u32 {
    return workgroup.z;
}
