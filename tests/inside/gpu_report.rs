//! What the compilers of real GPUs make of every kernel that a plan asks for: registers, spills, occupancy, instructions. Mesa's drivers
//! compile for chips that are not there; `scripts/gpu_report.sh` says how to ask them, and keeps the tables in `tests/gpu/`.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt::Write as _;

use ash::{khr, vk};
use naga::back;
use openelm::gpu::{BindingKind, CooperativeMatrices, KernelSpec};
use openelm::kernels::linear::Tuning;
use openelm::model::kernels_of;
use openelm::{ComputePath, Dtype};

use super::shaders::parse;

/// One driver, without wgpu: a null device has neither memory nor fences, but compiles.
struct Compiler {
    _entry: ash::Entry,
    instance: ash::Instance,
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    name: String,
    /// Lanes of a subgroup at least.
    subgroup_lanes: u32,
    /// Cooperative matrices, where it has some.
    matrices: Option<CooperativeMatrices>,
}

impl Compiler {
    fn open() -> Self {
        // SAFETY: the loader is the system's own, and everything below is used as Vulkan asks: handles are destroyed in order,
        // structures outlive the calls that read them.
        unsafe {
            let entry = ash::Entry::load().expect("a Vulkan loader");
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&info, None).expect("an instance");
            let adapter = instance.enumerate_physical_devices().unwrap()[0];
            let mut subgroups = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut subgroups);
            instance.get_physical_device_properties2(adapter, &mut properties);
            let name = properties.properties.device_name_as_c_str().unwrap();
            let name = name.to_string_lossy().into_owned();
            let subgroup_lanes = subgroups.min_subgroup_size;
            let known = instance
                .enumerate_device_extension_properties(adapter)
                .unwrap();
            let has_matrices = known
                .iter()
                .any(|one| one.extension_name_as_c_str() == Ok(khr::cooperative_matrix::NAME));
            // AMD's are 16 x 16, which is what is asked about here.
            let matrices = has_matrices.then_some(CooperativeMatrices {
                size: 16,
                subgroup_lanes: subgroups.max_subgroup_size,
            });
            let mut executables =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                    .pipeline_executable_info(true);
            let mut sizes = vk::PhysicalDeviceSubgroupSizeControlFeatures::default()
                .subgroup_size_control(true);
            let queue = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let mut extensions = vec![khr::pipeline_executable_properties::NAME.as_ptr()];
            extensions.extend(matrices.map(|_| khr::cooperative_matrix::NAME.as_ptr()));
            let mut cooperative =
                vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
            let mut memory_model = vk::PhysicalDeviceVulkanMemoryModelFeatures::default()
                .vulkan_memory_model(true)
                .vulkan_memory_model_device_scope(true);
            let mut halves =
                vk::PhysicalDeviceShaderFloat16Int8Features::default().shader_float16(true);
            let features = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queue)
                .enabled_extension_names(&extensions)
                .enabled_features(&features)
                .push_next(&mut executables)
                .push_next(&mut sizes);
            let info = match matrices {
                None => info,
                Some(_) => info
                    .push_next(&mut cooperative)
                    .push_next(&mut memory_model)
                    .push_next(&mut halves),
            };
            let device = instance
                .create_device(adapter, &info, None)
                .expect("a device");
            let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
            Self {
                _entry: entry,
                instance,
                device,
                executables,
                name,
                subgroup_lanes,
                matrices,
            }
        }
    }

    /// Compiles a kernel as wgpu would, and returns what the driver tells of it, by name; of several executables the most.
    fn statistics(&self, spec: &KernelSpec) -> BTreeMap<String, u64> {
        let (_, module, info) = parse(spec);
        let mut options = back::spv::Options {
            lang_version: (1, 3),
            zero_initialize_workgroup_memory: back::spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            bounds_check_policies: naga::proc::BoundsCheckPolicies::default(),
            ..Default::default()
        };
        options.flags = back::spv::WriterFlags::empty();
        let words = back::spv::write_vec(&module, &info, &options, None).unwrap();
        let bindings: Vec<_> = (0..)
            .zip(&spec.bindings)
            .map(|(binding, kind)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(descriptor(*kind))
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        // SAFETY: as above.
        unsafe {
            let shader = vk::ShaderModuleCreateInfo::default().code(&words);
            let shader = self.device.create_shader_module(&shader, None).unwrap();
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let set = self
                .device
                .create_descriptor_set_layout(&set, None)
                .unwrap();
            let sets = [set];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&layout, None).unwrap();
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .module(shader)
                .name(c"main");
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .layout(layout)
                .stage(stage);
            let cache = vk::PipelineCache::null();
            let pipelines = self.device.create_compute_pipelines(cache, &[info], None);
            let pipeline =
                pipelines.unwrap_or_else(|error| panic!("{:?}: {error:?}", spec.variant))[0];
            let mut found = BTreeMap::new();
            let of = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let count = self.executables.get_pipeline_executable_properties(&of);
            for index in 0..count.unwrap().len() as u32 {
                let of = vk::PipelineExecutableInfoKHR::default()
                    .pipeline(pipeline)
                    .executable_index(index);
                for statistic in self
                    .executables
                    .get_pipeline_executable_statistics(&of)
                    .unwrap()
                {
                    let name = CStr::from_ptr(statistic.name.as_ptr());
                    if statistic.format == vk::PipelineExecutableStatisticFormatKHR::UINT64 {
                        let name = name.to_string_lossy().into_owned();
                        let most: &mut u64 = found.entry(name).or_default();
                        *most = statistic.value.u64.max(*most);
                    }
                }
            }
            self.device.destroy_pipeline(pipeline, None);
            self.device.destroy_pipeline_layout(layout, None);
            self.device.destroy_descriptor_set_layout(set, None);
            self.device.destroy_shader_module(shader, None);
            found
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: nothing made of them is left.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

fn descriptor(kind: BindingKind) -> vk::DescriptorType {
    match kind {
        BindingKind::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
        BindingKind::UniformWindow => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
        BindingKind::Read | BindingKind::Write => vk::DescriptorType::STORAGE_BUFFER,
        BindingKind::WriteWindow => vk::DescriptorType::STORAGE_BUFFER_DYNAMIC,
        BindingKind::Texture | BindingKind::TextureWrite => vk::DescriptorType::STORAGE_IMAGE,
    }
}

/// What tells a kernel from others of its file.
pub fn label(spec: &KernelSpec) -> String {
    let file = spec.variant.file.trim_end_matches(".wgsl");
    let slots = spec.variant.slots.iter().map(|(_, file)| {
        let name = file.trim_start_matches("lib/");
        name.trim_end_matches(".wgsl").to_owned()
    });
    let constants = spec.constants.iter();
    let constants = constants.map(|(name, value)| format!("{name}={value}"));
    let words: Vec<String> = slots.chain(constants).collect();
    format!("{file} {}", words.join(" "))
}

/// Every kernel for GPUs at 270M: with and without subgroup operations, in tiles of every size, by cooperative matrices where there are some,
/// with activations of eight bits, and in the outermost layouts that tuning may choose; subgroups have at least so many lanes.
fn kernels(
    subgroup_lanes: u32,
    matrices: Option<CooperativeMatrices>,
) -> BTreeMap<String, KernelSpec> {
    let mut kernels = BTreeMap::new();
    let default = Tuning::default();
    let mut tunings = vec![default];
    tunings.push(Tuning {
        subgroups: true,
        columns: default.columns.min(subgroup_lanes),
        ..default
    });
    tunings.extend(Tuning::TILES.map(|tile| Tuning { tile, ..default }));
    tunings.extend(matrices.map(|_| Tuning {
        matrices,
        ..default
    }));
    let [narrow, .., wide] = Tuning::COLUMNS;
    let layouts = [(narrow, 2), (wide, 1)].map(|(columns, pairs)| Tuning {
        columns,
        pairs,
        ..default
    });
    let mut rare = layouts.to_vec();
    rare.push(Tuning {
        int8: true,
        ..default
    });
    tunings.extend(&rare);
    for dtype in Dtype::ALL {
        for tuning in tunings.iter().copied() {
            // Drivers take a second for the larger ones: what is less usual is asked about in one format.
            let is_asked = match dtype {
                Dtype::F32 => tuning == default,
                Dtype::Q8 => true,
                _ => !rare.contains(&tuning),
            };
            if !is_asked || !tuning.is_possible(ComputePath::Gpu, subgroup_lanes) {
                continue;
            }
            let specs = kernels_of(
                "shape:270M",
                dtype,
                ComputePath::Gpu,
                tuning,
                subgroup_lanes,
            );
            let specs = specs.into_iter().filter(has_telling_width);
            kernels.extend(specs.map(|spec| (label(&spec), spec)));
        }
    }
    kernels
}

/// Whether a kernel is for any width, or for the one of the residual stream: those for other widths are the same with more or fewer steps.
fn has_telling_width(spec: &KernelSpec) -> bool {
    let mut constants = spec.constants.iter();
    constants.all(|(name, value)| *name != "BLOCKS" || [0.0, 160.0].contains(value))
}

/// Numbers that are worth a column, by what drivers call them; `None` for those that a driver does not tell.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("registers", &["VGPRs"]),
    ("spills", &["Spilled VGPRs", "Spill Count"]),
    ("shared", &["LDS size", "Workgroup Memory Size"]),
    ("occupancy", &["Subgroups per SIMD"]),
    ("instructions", &["Instructions", "Instruction Count"]),
    ("loops", &["Loop Count"]),
    ("cycles", &["Inverse Throughput", "Cycle Count"]),
    ("latency", &["Latency"]),
];

/// Asks the driver that the loader finds first.
#[test]
#[ignore = "asks a driver for a chip that is not there: scripts/gpu_report.sh"]
fn report() {
    let path = std::env::var("OPENELM_GPU_REPORT").expect("where to write the table");
    let compiler = Compiler::open();
    let mut table = format!("{}\n", compiler.name);
    for (name, _) in COLUMNS {
        write!(table, "{name:>13}").unwrap();
    }
    table += "  kernel\n";
    let may_spill = std::env::var("OPENELM_GPU_REPORT_MAY_SPILL");
    let only = std::env::var("OPENELM_GPU_REPORT_ONLY").unwrap_or_default();
    let mut spilling = Vec::new();
    for (label, spec) in kernels(compiler.subgroup_lanes, compiler.matrices) {
        if !label.starts_with(&only) {
            continue;
        }
        let found = compiler.statistics(&spec);
        if std::env::var_os("OPENELM_GPU_REPORT_ALL").is_some() {
            eprintln!("{label}: {found:?}");
        }
        for (column, names) in COLUMNS {
            let number = names.iter().find_map(|name| found.get(*name));
            let may_spill = may_spill
                .as_ref()
                .is_ok_and(|files| files.split(' ').any(|file| label.starts_with(file)));
            if column == "spills" && number.is_some_and(|spills| *spills > 0) && !may_spill {
                spilling.push(label.clone());
            }
            let number = number.map_or_else(|| "-".to_owned(), u64::to_string);
            write!(table, "{number:>13}").unwrap();
        }
        writeln!(table, "  {label}").unwrap();
    }
    std::fs::write(path, table).unwrap();
    assert!(spilling.is_empty(), "these spill: {spilling:#?}");
}
