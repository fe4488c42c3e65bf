//! Lanes in another order. A software driver runs the lanes of a workgroup in their order, a few at a time, and so hides races in workgroup memory:
//! a lane that reads too early what another writes gets the same wrong number every time, or by luck the right one. Here lane `i` does what lane
//! `i ^ by` would: where barriers are right that is only another order, and changes no bit. Where subgroups exchange, whole subgroups change places,
//! and lanes keep theirs within. Every run of a kernel by the tests in `kernels` and `attention` is held against one in another order.

use super::common::noise;
use super::kernels::lab;
use super::sampling;
use openelm::gpu::shader::Variant;
use openelm::gpu::{BindingKind, KernelSpec};
use openelm::kernels::FILES;
use std::sync::OnceLock;

/// Neighbours, a vector of the driver's, halves of a workgroup, and everything.
pub const ORDERS: [u32; 4] = [1, 7, 32, 63];

/// Where subgroups change places: neighbours, and all. Half of the runs will do, since these kernels take long to compile.
const SUBGROUP_ORDERS: [u32; 4] = [0, 0, 1, 7];

pub type Files = &'static [(&'static str, &'static str)];

/// All shader files with lanes in the order of `ORDERS[order]`.
pub fn reordered(order: usize) -> Files {
    static ALL: OnceLock<Vec<Files>> = OnceLock::new();
    ALL.get_or_init(|| [0, 1, 2, 3].map(|order| with_lanes(FILES, order)).to_vec())[order]
}

/// Files in which lane `i` is lane `i ^ ORDERS[order]`, or subgroup `i` subgroup `i ^ SUBGROUP_ORDERS[order]`.
fn with_lanes(files: Files, order: usize) -> Files {
    let (by, by_subgroup) = (ORDERS[order], SUBGROUP_ORDERS[order]);
    let file = |(name, text): &(&'static str, &'static str)| {
        let text = text
            .replace(
                "@builtin(local_invocation_index) lane: u32) {\n",
                &format!(
                    "@builtin(local_invocation_index) ordered_lane: u32) {{\n    let lane = ordered_lane ^ {by}u;\n"
                ),
            )
            // lib/entry_subgroup.wgsl
            .replace(
                "run(workgroup, subgroup * size + subgroup_lane)",
                &format!("run(workgroup, (subgroup ^ {by_subgroup}u) * size + subgroup_lane)"),
            )
            // lib/share.wgsl: what a subgroup shares is the same for all lanes.
            .replace(
                "run(workgroup, workgroups, lane, vec2",
                &format!("run(workgroup, workgroups, lane ^ {by}u, vec2"),
            )
            // lib/half_tiles.wgsl
            .replace(
                "run(workgroup, subgroup, lane)",
                &format!("run(workgroup, subgroup ^ {by_subgroup}u, lane ^ {by}u)"),
            );
        (*name, &*text.leak())
    };
    files.iter().map(file).collect::<Vec<_>>().leak()
}

/// Whether a kernel may be asked to work in another order: where a workgroup has more lanes, or subgroups, than that.
pub fn is_reorderable(spec: &KernelSpec, order: usize) -> bool {
    let resolve = |files| {
        openelm::gpu::shader::resolve(files, &spec.variant)
            .unwrap()
            .text
    };
    let (plain, other) = (resolve(FILES), resolve(reordered(order)));
    let lanes = match spec.variant.file {
        "attention_lanes.wgsl" => 8,
        "qk_norm_rope.wgsl" => 32,
        "sample_ngrams.wgsl" | "sample_pick.wgsl" => 256,
        _ => spec
            .constants
            .iter()
            .find(|(name, _)| *name == "LANES")
            .map_or(64, |(_, lanes)| *lanes as u32),
    };
    plain != other && (1..lanes).contains(&distance(&plain, order))
}

/// By how many lanes at most a lane of a kernel is moved.
fn distance(text: &str, order: usize) -> u32 {
    match text.contains("@builtin(subgroup_id)") {
        true => SUBGROUP_ORDERS[order] * lab().gpu.device.adapter_info().subgroup_max_size,
        false => ORDERS[order],
    }
}

fn spec(file: &'static str) -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file,
            slots: vec![],
        },
        constants: vec![],
        bindings: vec![BindingKind::Write],
    }
}

const RACY: &str = "#import ENTRY
override LANES: u32 = 64u;
@group(0) @binding(0) var<storage, read_write> output: array<u32>;
var<workgroup> shared_numbers: array<u32, 64>;
fn run(workgroup: vec3<u32>, lane: u32) {
    shared_numbers[lane] = 0u;
    workgroupBarrier();
    shared_numbers[lane] = lane;
    BARRIER
    output[lane] = shared_numbers[(lane + 40u) % 64u];
}
";

/// The finder finds a barrier that is not there.
#[test]
fn a_missing_barrier_is_found() {
    let run = |text: String, order: Option<usize>| {
        let racy = ("racy.wgsl", &*text.leak());
        let files: Files = [&[racy], FILES].concat().leak();
        let files = order.map_or(files, |order| with_lanes(files, order));
        let output = lab().floats(&[0.0; 64]);
        let resources = [output.as_entire_binding()];
        let dispatches = [(vec![], (1, 1, 1))];
        let out = lab().run_files(files, &spec("racy.wgsl"), &resources, &dispatches, &output);
        out.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let differs = |text: &str, entry: &str| {
        let plain = run(text.to_owned(), None);
        let orders = 0..ORDERS.len();
        let orders = orders.filter(|order| (1..64).contains(&distance(entry, *order)));
        { orders }.any(|order| run(text.to_owned(), Some(order)) != plain)
    };
    let entries = ["lib/entry_workgroup.wgsl", "lib/entry_subgroup.wgsl"];
    for name in &entries[..1 + usize::from(lab().gpu.subgroup_lanes > 0)] {
        let text = RACY.replace("ENTRY", name);
        let (_, entry) = FILES.iter().find(|(file, _)| file == name).unwrap();
        let right = text.replace("BARRIER", "workgroupBarrier();");
        assert!(!differs(&right, entry), "{name}");
        assert!(differs(&text.replace("BARRIER", ""), entry), "{name}");
    }
}

/// A token is picked, and reported, alike in every order.
#[test]
fn tokens_are_picked_alike_in_every_order() {
    let plain = sampling::Lab::new(FILES);
    let labs = [0, 1, 2, 3].map(|order| sampling::Lab::new(reordered(order)));
    for (seed, vocab) in (1..).zip([3, 500, 9000]) {
        let logits: Vec<f32> = noise(seed, vocab).iter().map(|x| x * 12.0).collect();
        let history: Vec<u32> = (0..vocab as u32).step_by(11).collect();
        for (temperature, top_k, top_p, ngram) in [
            (0.0, 0, 1.0, 2),
            (1.0, 0, 1.0, 0),
            (0.8, 40, 0.9, 1),
            (1.0, 0, 0.6, 0),
            // Too many to be held against each other.
            (2.0, 1000, 0.99, 0),
        ] {
            let mut setting = sampling::sampling(temperature, top_k, top_p, 0.0, 1.1);
            setting.processors.no_repeat_ngram_size = ngram;
            let expected = plain.choose(&setting, &logits, &history, 0.4, 3).words;
            for lab in &labs {
                let found = lab.choose(&setting, &logits, &history, 0.4, 3).words;
                assert_eq!(found, expected, "{vocab} {setting:?}");
            }
        }
    }
}
