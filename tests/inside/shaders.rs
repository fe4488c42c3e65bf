//! Every shader in every variant: through naga to SPIR-V, MSL and HLSL, its bindings and uniform layouts compared with the Rust
//! side, and through Dawn's `tint` where that is installed.

use std::io::Write;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner, back};
use openelm::gpu::shader::{Variant, resolve};
use openelm::gpu::{BindingKind, CooperativeMatrices, KernelSpec};
use openelm::kernels::attention::Spread;
use openelm::kernels::linear::{Arithmetic, Attended, Input, Mapping, Output, Product};
use openelm::kernels::{
    self, BatchClass, FirstRow, TokenInput, arithmetic_peak, attention, embed, linear, probe,
    qk_norm_rope, read_bandwidth, rms_norm, sample,
};
use openelm::model::f16_prefill;
use openelm::{ComputePath, Dtype, Error, Tuning};

/// Name and offset of a struct's members.
type Fields = Vec<(String, usize)>;

fn every_spec() -> Vec<KernelSpec> {
    let mut specs = vec![
        arithmetic_peak::spec(),
        rms_norm::spec(),
        sample::groups_spec(),
        sample::ngrams_spec(),
        probe::halves_spec(probe::NATIVE_HALVES),
        probe::halves_spec(probe::EXACT_HALVES),
    ];
    specs.extend([4, 8, 64].map(probe::subgroups_spec));
    specs.extend(sample::Choice::ALL.map(sample::pick_spec));
    for path in ComputePath::ALL {
        specs.push(read_bandwidth::spec(path));
        for exact in [false, true] {
            specs.extend([64, 128, 256].map(|dim| qk_norm_rope::spec(path, exact, dim)));
            for subgroups in [false, true] {
                let lanes = |covered| attention::lanes_spec(exact, subgroups, covered);
                specs.extend(attention::COVERED.map(lanes));
            }
            for (head_dim, lanes) in [(64, 0), (64, 32), (64, 8), (128, 32), (2, 4)] {
                for class in BatchClass::ALL {
                    let spread = Spread::new(head_dim, class, lanes);
                    specs.push(attention::spec(class, exact, spread));
                }
            }
        }
        for dtype in Dtype::ALL {
            specs.push(embed::spec(path, dtype));
        }
        for (mapping, arithmetic) in every_mapping(path) {
            let product = |dtype, input, output| Product {
                path,
                mapping,
                dtype,
                arithmetic,
                input,
                output,
                blocks: 160,
            };
            for input in inputs(mapping) {
                for output in Output::ALL {
                    let dtypes = Dtype::ALL.into_iter();
                    for dtype in dtypes.filter(|_| arithmetic == Arithmetic::Float) {
                        specs.push(product(dtype, input, output).spec(Tuning::default()));
                    }
                }
                for tuning in tunings() {
                    let int8 = arithmetic == Arithmetic::Int8;
                    let tuning = Tuning { int8, ..tuning };
                    if tuning.is_possible(path, 64) {
                        let dtype = if int8 { Dtype::Q8 } else { Dtype::F16 };
                        specs.push(product(dtype, input, Output::Store).spec(tuning));
                    }
                }
            }
        }
    }
    for which in MATRICES {
        let tuning = Tuning {
            matrices: Some(which),
            ..Tuning::default()
        };
        for output in Output::ALL {
            for (dtype, input) in Dtype::ALL
                .into_iter()
                .zip([Input::Plain, Input::Wide].into_iter().cycle())
            {
                let product = Product {
                    path: ComputePath::Gpu,
                    mapping: Mapping::PrefillMatrices,
                    dtype,
                    arithmetic: Arithmetic::Float,
                    input,
                    output,
                    blocks: 160,
                };
                specs.push(product.spec(tuning));
            }
        }
    }
    let mut unique: Vec<KernelSpec> = Vec::new();
    for spec in specs {
        if !unique.contains(&spec) {
            unique.push(spec);
        }
    }
    unique
}

/// Every kind of cooperative matrices, and what stands in for them.
const MATRICES: [CooperativeMatrices; 4] = [
    CooperativeMatrices::PLAIN,
    CooperativeMatrices {
        size: 8,
        subgroup_lanes: 32,
    },
    CooperativeMatrices {
        size: 16,
        subgroup_lanes: 32,
    },
    CooperativeMatrices {
        size: 16,
        subgroup_lanes: 64,
    },
];

/// Whether a variant is only for adapters with cooperative matrices.
pub fn has_matrices(spec: &KernelSpec) -> bool {
    let mut slots = spec.variant.slots.iter();
    slots.any(|(_, file)| ["lib/matrices_16.wgsl", "lib/matrices_8.wgsl"].contains(file))
}

/// Every mapping that a path may take, with the arithmetic it may take it with.
fn every_mapping(path: ComputePath) -> Vec<(Mapping, Arithmetic)> {
    let mut all = Vec::new();
    for class in BatchClass::ALL {
        for int8 in [false, true] {
            let tuning = Tuning {
                int8,
                ..Tuning::default()
            };
            let arithmetic = tuning.arithmetic(class, Dtype::Q8);
            for tile in Tuning::TILES {
                for in_window in [1, 2] {
                    let mappings = Mapping::all_for(path, class, arithmetic, tile, in_window);
                    all.extend(mappings.iter().map(|mapping| (*mapping, arithmetic)));
                }
            }
        }
    }
    let mut unique = Vec::new();
    for pair in all {
        if !unique.contains(&pair) {
            unique.push(pair);
        }
    }
    unique
}

/// What a mapping can be of.
fn inputs(mapping: Mapping) -> Vec<Input> {
    let mut inputs = vec![Input::Plain];
    if mapping.can_norm() {
        inputs.push(Input::Normed);
    }
    if mapping.can_attend() {
        let attended = |head_dim| Attended {
            head_dim,
            splits: 3,
            record: 16,
        };
        inputs.extend([64, 20].map(|head_dim| Input::Attended(attended(head_dim))));
    }
    inputs
}

/// Every layout of every kernel that has some.
fn tunings() -> impl Iterator<Item = Tuning> {
    let pairs = Tuning::PAIRS.into_iter().cycle();
    let sizes = Tuning::LANES.into_iter().zip(Tuning::COLUMNS).zip(pairs);
    sizes.flat_map(|((lanes, columns), pairs)| {
        [false, true].map(|subgroups| Tuning {
            lanes,
            columns,
            pairs,
            subgroups,
            ..Tuning::default()
        })
    })
}

/// Whether a variant is only for adapters with subgroups.
fn has_subgroups(spec: &KernelSpec) -> bool {
    let mut slots = spec.variant.slots.iter();
    let files = [
        "lib/sums_subgroup.wgsl",
        "lib/group_sums_subgroup.wgsl",
        "lib/input_int8.wgsl",
        "lib/input_shared.wgsl",
        "lib/queries_shared.wgsl",
    ];
    spec.variant.file == "probe_subgroups.wgsl" || slots.any(|(_, file)| files.contains(file))
}

/// What the Rust side says about the uniform `Shape` of a shader.
fn shape_fields(file: &str) -> (&'static [(&'static str, usize)], usize) {
    match file {
        "arithmetic_peak.wgsl" => (
            arithmetic_peak::Shape::FIELDS,
            size_of::<arithmetic_peak::Shape>(),
        ),
        "attention.wgsl" | "attention_lanes.wgsl" => {
            (attention::Shape::FIELDS, size_of::<attention::Shape>())
        }
        "embed.wgsl" => (embed::Shape::FIELDS, size_of::<embed::Shape>()),
        "probe_halves.wgsl" | "probe_subgroups.wgsl" => {
            (probe::Shape::FIELDS, size_of::<probe::Shape>())
        }
        "qk_norm_rope.wgsl" => (
            qk_norm_rope::Shape::FIELDS,
            size_of::<qk_norm_rope::Shape>(),
        ),
        "read_bandwidth.wgsl" => (
            read_bandwidth::Shape::FIELDS,
            size_of::<read_bandwidth::Shape>(),
        ),
        "sample_groups.wgsl" | "sample_ngrams.wgsl" | "sample_pick.wgsl" => {
            (sample::Shape::FIELDS, size_of::<sample::Shape>())
        }
        "rms_norm.wgsl" => (rms_norm::Shape::FIELDS, size_of::<rms_norm::Shape>()),
        _ => (linear::Shape::FIELDS, size_of::<linear::Shape>()),
    }
}

pub fn parse(spec: &KernelSpec) -> (String, Module, ModuleInfo) {
    let variant = &spec.variant;
    let text = resolve(kernels::FILES, variant).unwrap().text;
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{variant:?}: {}", error.emit_to_string(&text)));
    // Nothing beyond core WebGPU may be needed, of which naga calls unpack2x16float a capability.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    capabilities.set(
        Capabilities::SUBGROUP,
        has_subgroups(spec) || has_matrices(spec),
    );
    let of_matrices = Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16;
    capabilities.set(of_matrices, has_matrices(spec));
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{variant:?}: {}", error.emit_to_string(&text)));
    let constants = spec
        .constants
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value));
    let (module, info) = {
        let constants = constants.collect();
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&module, &info, None, &constants)
                .unwrap_or_else(|error| panic!("{variant:?}: {error}"));
        (module.into_owned(), info.into_owned())
    };
    (text, module, info)
}

fn binding_kind(module: &Module, variable: &naga::GlobalVariable) -> &'static str {
    match variable.space {
        AddressSpace::Uniform => "uniform",
        AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => "write",
        AddressSpace::Storage { .. } => "read",
        AddressSpace::Handle => match module.types[variable.ty].inner {
            TypeInner::Image {
                dim: naga::ImageDimension::D2,
                arrayed: false,
                class:
                    naga::ImageClass::Storage {
                        format: naga::StorageFormat::Rgba32Uint,
                        access,
                    },
            } => match access {
                StorageAccess::LOAD => "texture",
                StorageAccess::STORE => "texture write",
                _ => panic!("read and write at once is no core feature"),
            },
            ref other => panic!("unexpected {other:?}"),
        },
        ref other => panic!("a binding in {other:?}"),
    }
}

/// Number and kind of every binding, in order; names are the shader's own business.
fn binding_kinds(module: &Module) -> Vec<(u32, &'static str)> {
    let mut found: Vec<(u32, &str)> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let binding = variable.binding?;
            assert_eq!(binding.group, 0);
            Some((binding.binding, binding_kind(module, variable)))
        })
        .collect();
    found.sort_unstable();
    found
}

fn fields(module: &Module, name: &str) -> Option<(Fields, usize)> {
    module.types.iter().find_map(|(_, ty)| match &ty.inner {
        TypeInner::Struct { members, span } if ty.name.as_deref() == Some(name) => {
            let fields = members
                .iter()
                .map(|member| (member.name.clone().unwrap(), member.offset as usize))
                .collect();
            Some((fields, *span as usize))
        }
        _ => None,
    })
}

#[test]
fn every_variant_translates_to_every_backend() {
    for spec in every_spec() {
        let (_, module, info) = parse(&spec);
        let entry = (naga::ShaderStage::Compute, "main".to_owned());
        let what = &spec.variant;

        let options = back::spv::Options::default();
        let words = back::spv::write_vec(&module, &info, &options, None)
            .unwrap_or_else(|error| panic!("{what:?} to SPIR-V: {error}"));
        assert_eq!(words[0], 0x0723_0203);

        let options = back::msl::Options {
            fake_missing_bindings: true,
            lang_version: if has_matrices(&spec) {
                (2, 3)
            } else {
                back::msl::Options::default().lang_version
            },
            ..Default::default()
        };
        let pipeline = back::msl::PipelineOptions {
            entry_point: Some(entry.clone()),
            ..Default::default()
        };
        let (text, _) = back::msl::write_string(&module, &info, &options, &pipeline)
            .unwrap_or_else(|error| panic!("{what:?} to MSL: {error}"));
        assert!(text.contains("kernel void"));

        // There are no cooperative matrices in the HLSL that naga writes, and wgpu shows none on DirectX.
        if has_matrices(&spec) {
            continue;
        }
        let options = back::hlsl::Options::default();
        let pipeline = back::hlsl::PipelineOptions {
            entry_point: Some(entry),
        };
        let mut text = String::new();
        back::hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{what:?} to HLSL: {error}"));
        assert!(text.contains("numthreads"));
    }
}

#[test]
fn bindings_are_what_rust_binds() {
    for spec in every_spec() {
        let (_, module, _) = parse(&spec);
        let found = binding_kinds(&module);
        let expected: Vec<(u32, &str)> = (0..)
            .zip(&spec.bindings)
            .map(|(i, kind)| {
                let kind = match kind {
                    BindingKind::Uniform | BindingKind::UniformWindow => "uniform",
                    BindingKind::Read => "read",
                    BindingKind::Write | BindingKind::WriteWindow => "write",
                    BindingKind::Texture => "texture",
                    BindingKind::TextureWrite => "texture write",
                };
                (i, kind)
            })
            .collect();
        assert_eq!(found, expected, "{:?}", spec.variant);
        let count = |kinds: &[&str]| expected.iter().filter(|(_, k)| kinds.contains(k)).count();
        assert!(count(&["read", "write"]) <= 8, "WebGPU guarantees 8");
        assert!(
            count(&["texture", "texture write"]) <= 4,
            "WebGPU guarantees 4"
        );
    }
}

#[test]
fn uniform_structs_are_laid_out_as_in_rust() {
    let mut seen = std::collections::BTreeSet::new();
    for spec in every_spec() {
        let (_, module, _) = parse(&spec);
        let (expected, size) = shape_fields(spec.variant.file);
        let (found, span) = fields(&module, "Shape").expect("every shader has a Shape");
        let expected: Fields = expected
            .iter()
            .map(|(name, offset)| ((*name).to_owned(), *offset))
            .collect();
        assert_eq!((found, span), (expected, size), "{:?}", spec.variant);
        let others = [
            ("Token", TokenInput::FIELDS, size_of::<TokenInput>()),
            ("FirstRow", FirstRow::FIELDS, size_of::<FirstRow>()),
            ("Row", sample::Row::FIELDS, size_of::<sample::Row>()),
        ];
        for (name, expected, size) in others {
            let Some((found, span)) = fields(&module, name) else {
                continue;
            };
            // Padding may be a field or an array in Rust; the size says whether it is all there.
            let is_field = |name: &str| !name.starts_with("padding");
            let found: Fields = found
                .into_iter()
                .filter(|(name, _)| is_field(name))
                .collect();
            let expected: Fields = expected
                .iter()
                .filter(|(name, _)| is_field(name))
                .map(|(name, offset)| ((*name).to_owned(), *offset))
                .collect();
            assert_eq!(
                (found, span),
                (expected, size),
                "{name}, {:?}",
                spec.variant
            );
            seen.insert(name);
        }
    }
    assert_eq!(seen.len(), 3, "the test has gone blind");
}

/// A binding may be called what it likes, but must be what Rust binds.
#[test]
fn kinds_of_bindings_count_and_names_do_not() {
    let kinds = |text: &str| binding_kinds(&naga::front::wgsl::parse_str(text).unwrap());
    let one = "@group(0) @binding(0) var<uniform> shape: vec4<u32>;
        @group(0) @binding(1) var<storage, read> input: array<u32>;";
    let renamed = one.replace("shape", "sizes").replace("input", "rows");
    let swapped = one.replace("storage, read", "storage, read_write");
    assert_eq!(kinds(one), [(0, "uniform"), (1, "read")]);
    assert_eq!(kinds(one), kinds(&renamed));
    assert_ne!(kinds(one), kinds(&swapped));
}

/// What WebGPU guarantees on every adapter.
#[test]
fn workgroups_fit_the_least_adapter() {
    for spec in every_spec() {
        let (_, module, _) = parse(&spec);
        let entry = &module.entry_points[0];
        assert_eq!(entry.name, "main");
        let lanes = match spec.variant.file {
            "attention_lanes.wgsl" => 8,
            "qk_norm_rope.wgsl" => spec.constants.first().map_or(32, |lanes| lanes.1 as u32),
            "linear_prefill_single.wgsl" => 32,
            "linear_prefill_wide.wgsl"
                if spec
                    .variant
                    .slots
                    .contains(&("stage", "lib/stage_large.wgsl")) =>
            {
                128
            }
            "sample_ngrams.wgsl" | "sample_pick.wgsl" => 256,
            _ => {
                let mut constants = spec.constants.iter();
                let lanes = constants.find(|(name, _)| *name == "LANES");
                lanes.map_or(kernels::LANES, |(_, lanes)| *lanes as u32)
            }
        };
        assert!(lanes <= 256);
        assert_eq!(entry.workgroup_size, [lanes, 1, 1]);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| layouter[variable.ty].size)
            .sum();
        match spec.variant.file {
            // Whoever has cooperative matrices has more, which is asked.
            "linear_prefill_matrices.wgsl" => assert_eq!(bytes, f16_prefill::WORKGROUP_BYTES),
            _ => assert!(bytes <= 16384, "{:?} takes {bytes} bytes", spec.variant),
        }
    }
}

/// A file that no variant uses is dead; one that is not in the table cannot be used.
#[test]
fn every_shader_file_is_used() {
    let mut used = std::collections::BTreeSet::new();
    for spec in every_spec() {
        let resolved = resolve(kernels::FILES, &spec.variant).unwrap();
        let lines = resolved.text.lines().count() as u32;
        used.extend((1..=lines).map(|line| resolved.origin(line).0.to_owned()));
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut on_disk = std::collections::BTreeSet::new();
    for (folder, prefix) in [(folder.clone(), ""), (folder.join("lib"), "lib/")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".wgsl") {
                on_disk.insert(format!("{prefix}{name}"));
            }
        }
    }
    assert_eq!(used, on_disk);
}

/// A mistake in an imported file is reported with that file's name and line, not with the line of the whole.
#[test]
fn a_compiler_error_names_the_file_a_person_wrote() {
    const FILES: &[(&str, &str)] = &[
        (
            "broken.wgsl",
            "// fine\n#import lib/half.wgsl\n@compute @workgroup_size(1) fn main() { g(); }\n",
        ),
        ("lib/half.wgsl", "// fine\nfn g() { let x: u32 = 1.5; }\n"),
    ];
    let spec = KernelSpec {
        variant: Variant {
            file: "broken.wgsl",
            slots: vec![],
        },
        constants: vec![],
        bindings: vec![],
    };
    let gpu = openelm::Gpu::open(None).unwrap();
    match gpu.compile(FILES, &[spec]) {
        Err(Error::Shader { file, line, .. }) => {
            assert_eq!((file.as_str(), line), ("lib/half.wgsl", 2));
        }
        other => panic!("{other:?}"),
    }
    gpu.check().expect("the device goes on");
}

/// Browsers and Dawn have another compiler with its own opinions.
#[test]
fn tint_accepts_every_variant() {
    if std::process::Command::new("tint")
        .arg("--help")
        .output()
        .is_err()
    {
        eprintln!("tint is not installed: not checked");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // It does not know wgpu's cooperative matrices.
    let specs = every_spec().into_iter().filter(|spec| !has_matrices(spec));
    for (i, spec) in specs.enumerate() {
        let (mut text, ..) = parse(&spec);
        if has_subgroups(&spec) {
            // What browsers want to be told, naga does not know.
            text.insert_str(0, "enable subgroups;\n");
        }
        let path = folder.path().join(format!("{i}.wgsl"));
        std::fs::File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = std::process::Command::new("tint")
            .args(["--format", "wgsl", "-o"])
            .arg(folder.path().join("out.wgsl"))
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{:?}: {}",
            spec.variant,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
