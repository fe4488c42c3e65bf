//! Every shader in every variant: through naga to SPIR-V, MSL and HLSL, its bindings and uniform layouts compared with the Rust
//! side, and through Dawn's `tint` where that is installed.

use std::io::Write;

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner, back};
use openelm::gpu::shader::{Variant, resolve};
use openelm::gpu::{BindingKind, KernelSpec};
use openelm::kernels::linear::{Input, Mapping, Output, Tokens, Tuning};
use openelm::kernels::{self, TokenInput, WeightSource};
use openelm::kernels::{
    arithmetic_peak, attention, embed, linear, qk_norm_rope, read_bandwidth, rms_norm, sample,
};
use openelm::{Dtype, Error};

/// Name and offset of a struct's members.
type Fields = Vec<(String, usize)>;

fn every_spec() -> Vec<KernelSpec> {
    let mut specs = vec![
        arithmetic_peak::spec(),
        rms_norm::spec(),
        sample::groups_spec(),
        attention::merge_spec(),
    ];
    specs.extend(sample::Choice::ALL.map(sample::pick_spec));
    for source in WeightSource::ALL {
        specs.push(read_bandwidth::spec(source));
        for exact in [false, true] {
            specs.push(qk_norm_rope::spec(source, exact));
            for subgroups in [false, true] {
                specs.push(attention::spec(source, exact, subgroups));
            }
        }
        for dtype in Dtype::ALL {
            specs.push(embed::spec(source, dtype));
            for tokens in Tokens::ALL {
                for (output, tile) in every_output_and_tile() {
                    for in_window in [1, 2] {
                        let mapping = Mapping::of(source, tokens, tile, in_window);
                        let tuning = Tuning::default();
                        for input in inputs(mapping).iter().copied() {
                            specs.push(linear::spec(mapping, source, dtype, input, output, tuning));
                        }
                    }
                }
            }
        }
        for tokens in Tokens::ALL {
            let mapping = Mapping::of(source, tokens, Tuning::default().tile, 2);
            for tuning in tunings() {
                let int8 = Tuning {
                    int8: true,
                    ..tuning
                };
                for input in inputs(mapping).iter().copied() {
                    let spec = |dtype, tuning| {
                        linear::spec(mapping, source, dtype, input, Output::Store, tuning)
                    };
                    specs.push(spec(Dtype::F16, tuning));
                    if int8.is_possible(source, 64) {
                        specs.push(spec(Dtype::Q8, int8));
                    }
                }
            }
        }
    }
    specs
}

/// What a mapping can be of.
fn inputs(mapping: Mapping) -> &'static [Input] {
    match mapping.is_for_few() {
        true => &[Input::Plain, Input::Normed],
        false => &[Input::Plain],
    }
}

fn every_output_and_tile() -> impl Iterator<Item = (Output, u32)> {
    let outputs = Output::ALL.into_iter();
    outputs.flat_map(|output| Tuning::TILES.map(|tile| (output, tile)))
}

/// Every layout of every kernel that has some.
fn tunings() -> impl Iterator<Item = Tuning> {
    let sizes = Tuning::LANES.into_iter().zip(Tuning::COLUMNS);
    sizes.flat_map(|(lanes, columns)| {
        [false, true].map(|subgroups| Tuning {
            lanes,
            columns,
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
        "lib/input_int8.wgsl",
        "lib/input_shared.wgsl",
        "lib/queries_shared.wgsl",
    ];
    slots.any(|(_, file)| files.contains(file))
}

/// What the Rust side says about the uniform `Shape` of a shader.
fn shape_fields(file: &str) -> (&'static [(&'static str, usize)], usize) {
    match file {
        "arithmetic_peak.wgsl" => (
            arithmetic_peak::Shape::FIELDS,
            size_of::<arithmetic_peak::Shape>(),
        ),
        "attention.wgsl" | "attention_lanes.wgsl" | "attention_merge.wgsl" => {
            (attention::Shape::FIELDS, size_of::<attention::Shape>())
        }
        "embed.wgsl" => (embed::Shape::FIELDS, size_of::<embed::Shape>()),
        "qk_norm_rope.wgsl" => (
            qk_norm_rope::Shape::FIELDS,
            size_of::<qk_norm_rope::Shape>(),
        ),
        "read_bandwidth.wgsl" => (
            read_bandwidth::Shape::FIELDS,
            size_of::<read_bandwidth::Shape>(),
        ),
        "sample_groups.wgsl" | "sample_pick.wgsl" => {
            (sample::Shape::FIELDS, size_of::<sample::Shape>())
        }
        "rms_norm.wgsl" => (rms_norm::Shape::FIELDS, size_of::<rms_norm::Shape>()),
        _ => (linear::Shape::FIELDS, size_of::<linear::Shape>()),
    }
}

fn parse(spec: &KernelSpec) -> (String, Module, ModuleInfo) {
    let variant = &spec.variant;
    let text = resolve(kernels::FILES, variant).unwrap().text;
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{variant:?}: {}", error.emit_to_string(&text)));
    // Nothing beyond core WebGPU may be needed, of which naga calls unpack2x16float a capability.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    capabilities.set(Capabilities::SUBGROUP, has_subgroups(spec));
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
            ..Default::default()
        };
        let pipeline = back::msl::PipelineOptions {
            entry_point: Some(entry.clone()),
            ..Default::default()
        };
        let (text, _) = back::msl::write_string(&module, &info, &options, &pipeline)
            .unwrap_or_else(|error| panic!("{what:?} to MSL: {error}"));
        assert!(text.contains("kernel void"));

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
        let mut found: Vec<(u32, &str)> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let binding = variable.binding?;
                assert_eq!(binding.group, 0);
                Some((binding.binding, binding_kind(&module, variable)))
            })
            .collect();
        found.sort_unstable();
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
    for spec in every_spec() {
        let (_, module, _) = parse(&spec);
        let (expected, size) = shape_fields(spec.variant.file);
        let (found, span) = fields(&module, "Shape").expect("every shader has a Shape");
        let expected: Fields = expected
            .iter()
            .map(|(name, offset)| ((*name).to_owned(), *offset))
            .collect();
        assert_eq!((found, span), (expected, size), "{:?}", spec.variant);
        if let Some((found, span)) = fields(&module, "Token") {
            let offsets = [
                std::mem::offset_of!(TokenInput, id),
                std::mem::offset_of!(TokenInput, position),
                std::mem::offset_of!(TokenInput, cache_start),
                std::mem::offset_of!(TokenInput, logits_from),
            ];
            let names = ["id", "position", "cache_start", "logits_from"];
            let expected: Fields = names.map(str::to_owned).into_iter().zip(offsets).collect();
            assert_eq!((found, span), (expected, size_of::<TokenInput>()));
        }
    }
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
            "qk_norm_rope.wgsl" => 32,
            "sample_pick.wgsl" => 256,
            file if file.ends_with("_lanes.wgsl") || file.ends_with("_octets.wgsl") => {
                spec.constants[0].1 as u32
            }
            _ => kernels::LANES,
        };
        assert_eq!(entry.workgroup_size, [lanes, 1, 1]);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| layouter[variable.ty].size)
            .sum();
        assert!(bytes <= 16384, "{:?} takes {bytes} bytes", spec.variant);
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
    for (i, spec) in every_spec().into_iter().enumerate() {
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
