//! Every kernel that a plan asks for in HLSL, as wgpu gives it to DirectX 12: `scripts/hlsl.sh` has Microsoft's compilers take it.

use std::collections::BTreeMap;

use naga::back::hlsl;
use openelm::gpu::KernelSpec;
use openelm::kernels::linear::Tuning;
use openelm::kernels::probe;
use openelm::model::kernels_of;
use openelm::{ComputePath, Dtype};

use super::gpu_report::label;
use super::shaders::parse;

/// Lanes of a subgroup, at least, where there are any.
const SUBGROUP_LANES: u32 = 32;

/// All kernels at 270M, by name, of both paths, and what probes an adapter; with subgroup operations or without.
fn kernels(subgroups: bool) -> BTreeMap<String, KernelSpec> {
    let subgroup_lanes = if subgroups { SUBGROUP_LANES } else { 0 };
    let mut specs = [probe::NATIVE_HALVES, probe::EXACT_HALVES]
        .map(probe::halves_spec)
        .to_vec();
    specs.extend(subgroups.then(|| probe::subgroups_spec(SUBGROUP_LANES)));
    for path in ComputePath::ALL {
        for dtype in Dtype::ALL {
            for int8 in [false, true] {
                let tuning = Tuning {
                    subgroups,
                    int8,
                    ..Tuning::default()
                };
                if tuning.is_possible(path, subgroup_lanes) {
                    let of_model = kernels_of("shape:270M", dtype, path, tuning, subgroup_lanes);
                    specs.extend(of_model);
                }
            }
        }
    }
    specs.into_iter().map(|spec| (label(&spec), spec)).collect()
}

/// A kernel as wgpu writes it for a shader that needs no checks at run time.
fn write(spec: &KernelSpec, shader_model: hlsl::ShaderModel) -> String {
    let (_, module, info) = parse(spec);
    let bind = |binding: u32| {
        let target = hlsl::BindTarget {
            register: binding,
            ..Default::default()
        };
        (naga::ResourceBinding { group: 0, binding }, target)
    };
    let options = hlsl::Options {
        shader_model,
        binding_map: (0..spec.bindings.len() as u32).map(bind).collect(),
        fake_missing_bindings: false,
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions {
        entry_point: Some((naga::ShaderStage::Compute, "main".into())),
    };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(&module, &info, None)
        .unwrap_or_else(|error| panic!("{:?}: {error}", spec.variant));
    text
}

/// What the entry point takes, as `uint3 workgroup : SV_GroupID`.
fn parameters(text: &str) -> Vec<&str> {
    let (_, main) = text.split_once("\nvoid main(").expect("an entry point");
    let (list, _) = main.split_once(')').expect("its parameters");
    list.split(", ").collect()
}

/// Whether each of them says what it is, or is a structure whose members do.
fn have_semantics(text: &str) -> bool {
    let says = |declaration: &str| declaration.contains(" : SV_");
    parameters(text).into_iter().all(|parameter| {
        let kind = parameter.split(' ').next().unwrap();
        let members = text.split_once(&format!("struct {kind} {{\n"));
        let members = members.and_then(|(_, rest)| rest.split_once("\n}"));
        says(parameter) || members.is_some_and(|(members, _)| members.lines().all(says))
    })
}

/// The head of a function that is there twice. naga 30 writes one that makes a zero for every name that a type has, under the name of the type that
/// they all stand for.
fn defined_twice(text: &str) -> Option<&str> {
    let is_head = |line: &&str| line.ends_with(") {") && !line.starts_with(' ');
    let mut seen = std::collections::BTreeSet::new();
    text.lines()
        .filter(is_head)
        .find(|head| !seen.insert(*head))
}

/// DirectX refuses parameters without. naga 30 leaves out those of subgroup built-ins that are members of a structure.
#[test]
fn every_parameter_has_a_semantic_and_every_function_is_there_once() {
    let model = hlsl::ShaderModel::V6_4;
    let mut exchanging = 0;
    for (label, spec) in kernels(false).into_iter().chain(kernels(true)) {
        let text = write(&spec, model);
        assert!(have_semantics(&text), "{label}");
        assert_eq!(defined_twice(&text), None, "{label}");
        exchanging += usize::from(text.contains("WaveReadLaneAt"));
    }
    assert!(exchanging > 50, "the test has gone blind: {exchanging}");
}

/// FXC stops at model 5.1, which has no subgroup operations; from 6.4 on there is `dot4add_i8packed`.
#[test]
#[ignore = "for compilers that run on Windows: scripts/hlsl.sh"]
fn written_for_both_compilers() {
    let folder = std::env::var("OPENELM_HLSL").expect("where to write the shaders");
    let folder = std::path::Path::new(&folder);
    for (model, name, subgroups) in [
        (hlsl::ShaderModel::V5_1, "cs_5_1", false),
        (hlsl::ShaderModel::V6_4, "cs_6_4", false),
        (hlsl::ShaderModel::V6_4, "cs_6_4", true),
    ] {
        for (label, spec) in kernels(subgroups) {
            let file = folder.join(format!("{label}.{name}.hlsl"));
            std::fs::write(file, write(&spec, model)).unwrap();
        }
    }
}
