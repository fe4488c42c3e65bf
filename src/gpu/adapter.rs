//! Adapters: which there are, what each can do, which of them a wish means, and which one works.

use super::room;
use crate::error::{Error, Result};
use crate::threads::block_on;

/// What a person wants to know about an adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AdapterSummary {
    /// The device's own name, such as `NVIDIA H200` or `llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Its place on the bus, such as `0000:01:00.0`, by which two of the same name are told apart; empty where that is not told.
    #[serde(skip)]
    pub address: String,
    /// `discrete gpu`, `integrated gpu`, `virtual gpu`, `cpu` or `other`.
    pub device_type: String,
    /// Left out where a summary is serialised: it stands beside every result, and `openelm devices --json` has these.
    #[serde(skip)]
    pub features: AdapterFeatures,
}

/// What an adapter has of that which is used where it is there, and not needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AdapterFeatures {
    /// The fewest lanes of a subgroup; 0 where shaders have no subgroup operations.
    pub subgroup_lanes: u32,
    /// Arithmetic in f16.
    pub f16: bool,
    /// Rows and columns of the cooperative matrices that prompts can be computed by, of f16 with sums in f32: 16 or 8; 0 where there are none.
    pub cooperative_matrices: u32,
    /// Timestamps, by which kernels are timed.
    pub timestamps: bool,
    /// Whether compiled kernels can be kept for the next start.
    pub pipeline_cache: bool,
    /// What compiles shaders: `DXC`, `FXC`, or what belongs to the driver.
    pub shader_compiler: String,
    /// Bytes of the largest memory that is its own, used or free; `None` where its API does not tell, and for a program, which has none.
    pub memory: Option<u64>,
}

impl AdapterSummary {
    /// Whether it is a program on the processor, sharing its memory.
    pub(crate) fn is_software(&self) -> bool {
        self.device_type == "cpu"
    }

    /// What tells it from every other, for people and programs: `NVIDIA H200 (vulkan, 0000:01:00.0)`.
    pub fn identity(&self) -> String {
        let Self { name, backend, .. } = self;
        match self.address.as_str() {
            "" => format!("{name} ({backend})"),
            address => format!("{name} ({backend}, {address})"),
        }
    }

    pub(super) fn new(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let device_type = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete gpu",
            wgpu::DeviceType::IntegratedGpu => "integrated gpu",
            wgpu::DeviceType::VirtualGpu => "virtual gpu",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        };
        Self {
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            backend: info.backend.to_string(),
            device_type: device_type.to_owned(),
            features: AdapterFeatures::new(adapter, &info),
            address: info.device_pci_bus_id,
            name: info.name,
        }
    }
}

/// Bytes of memory free for a software adapter, which shares the machine's; `None` where that is not known.
///
/// Hardware drivers keep their own budget and report it when an allocation fails.
pub fn free_memory(adapter: &AdapterSummary) -> Option<u64> {
    adapter.is_software().then(room::free).flatten()
}

impl AdapterFeatures {
    fn new(adapter: &wgpu::Adapter, info: &wgpu::AdapterInfo) -> Self {
        let features = adapter.features();
        let has_subgroups = features.contains(wgpu::Features::SUBGROUP);
        let is_dx12 = info.backend == wgpu::Backend::Dx12;
        let shader_compiler = match info.backend {
            // DXC is found where `dxcompiler.dll` lies beside the program; FXC, which Windows has, knows no subgroup operations.
            _ if is_dx12 && has_subgroups => "DXC",
            _ if is_dx12 => "FXC",
            wgpu::Backend::Metal => "Metal's",
            _ => "the driver's",
        };
        Self {
            subgroup_lanes: match has_subgroups {
                true => subgroup_sizes(info).0,
                false => 0,
            },
            f16: features.contains(wgpu::Features::SHADER_F16),
            cooperative_matrices: CooperativeMatrices::of(adapter)
                .map_or(0, |matrices| matrices.size),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            pipeline_cache: features.contains(wgpu::Features::PIPELINE_CACHE),
            shader_compiler: shader_compiler.to_owned(),
            memory: match info.device_type {
                wgpu::DeviceType::Cpu => None,
                _ => room::own_memory(adapter),
            },
        }
    }
}

/// The fewest and the most lanes of a subgroup. Metal does not tell, and wgpu says 4 to 64; on Apple's own GPUs they are 32, which the self-test
/// holds them to.
fn subgroup_sizes(info: &wgpu::AdapterInfo) -> (u32, u32) {
    match info.backend == wgpu::Backend::Metal && info.name.starts_with("Apple") {
        true => (32, 32),
        false => (info.subgroup_min_size, info.subgroup_max_size),
    }
}

/// Cooperative matrices, as kernels for prompts use them: f16 by f16, square, with sums in f32. The lanes of a subgroup multiply them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CooperativeMatrices {
    /// Rows and columns: 16 or 8.
    pub size: u32,
    /// The most lanes of a subgroup.
    pub subgroup_lanes: u32,
}

impl CooperativeMatrices {
    /// What a device is asked for that is to have them.
    pub(super) const FEATURES: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        .union(wgpu::Features::SHADER_F16)
        .union(wgpu::Features::SUBGROUP);

    /// Plain arithmetic in place of those that an adapter has not, for tests.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self {
        size: 0,
        subgroup_lanes: 32,
    };

    /// Larger subgroups than kernels divide their work among are had by no adapter that has these.
    const MOST_LANES: u32 = 64;

    pub(super) fn of(adapter: &wgpu::Adapter) -> Option<Self> {
        let (_, subgroup_lanes) = subgroup_sizes(&adapter.get_info());
        if !adapter.features().contains(Self::FEATURES) || subgroup_lanes > Self::MOST_LANES {
            return None;
        }
        let all = adapter.cooperative_matrix_properties();
        let has = |size: &u32| {
            all.iter().any(|one| {
                [one.m_size, one.n_size, one.k_size] == [*size; 3]
                    && one.ab_type == wgpu::CooperativeScalarType::F16
                    && one.cr_type == wgpu::CooperativeScalarType::F32
                    && !one.saturating_accumulation
            })
        };
        let size = [16, 8].into_iter().find(has)?;
        Some(Self {
            size,
            subgroup_lanes,
        })
    }
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // Not OpenGL, which others in the program (such as a window) may have brought in: its compute shaders are another world.
    descriptor.backends &= wgpu::Backends::PRIMARY;
    // No threshold of the driver's memory budget is set: wgpu would hold every write to a buffer against it, whose failure loses the device, so that
    // whoever else takes memory would end what runs here. How much a model may take is decided before it is loaded.
    wgpu::Instance::new(descriptor)
}

/// Adapters in order of preference: discrete, integrated, virtual, other, software.
async fn ranked() -> Vec<wgpu::Adapter> {
    let mut found = instance().enumerate_adapters(wgpu::Backends::all()).await;
    found.retain(|adapter| {
        adapter
            .get_downlevel_capabilities()
            .flags
            .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
    });
    found.sort_by_key(rank);
    found
}

/// The lower the better.
pub(crate) fn rank(adapter: &wgpu::Adapter) -> u8 {
    match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// The adapters of this machine, best first; without a wish the first that works is taken.
pub fn adapters() -> Vec<AdapterSummary> {
    let found = block_on(ranked()).unwrap_or_default();
    found.iter().map(AdapterSummary::new).collect()
}

/// The adapters that a wish may mean, in the order in which to try them: the one that it names, or, where it names none, all.
///
/// # Errors
/// [`Error::NoAdapter`].
pub(super) async fn wanted(requested: Option<&str>) -> Result<Vec<wgpu::Adapter>> {
    let mut found = ranked().await;
    let index = match requested {
        None if !found.is_empty() => return Ok(found),
        None => None,
        // A part of every name, and most likely a variable that was never set.
        Some(requested) if requested.trim().is_empty() => None,
        Some(requested) => requested
            .parse()
            .ok()
            .filter(|index| *index < found.len())
            // A number may also be part of a name, as in `RTX 3090`.
            .or_else(|| {
                found
                    .iter()
                    .position(|adapter| matches(&adapter.get_info(), requested))
            }),
    };
    match index {
        Some(index) => Ok(vec![found.swap_remove(index)]),
        None => Err(Error::NoAdapter {
            requested: requested.map(str::to_owned),
            found: found
                .iter()
                .map(|adapter| adapter.get_info().name)
                .collect(),
        }),
    }
}

/// Whether a wish means an adapter: a part of its name or of its API's, or `cpu`, as PyTorch calls them, for one that is a program.
fn matches(info: &wgpu::AdapterInfo, requested: &str) -> bool {
    let requested = requested.trim().to_lowercase();
    let is_processor = requested == "cpu" && info.device_type == wgpu::DeviceType::Cpu;
    is_processor
        || format!("{} {}", info.name, info.backend)
            .to_lowercase()
            .contains(&requested)
}

/// Tries things in their order, such as adapters, until one works. What fails for a reason that another may not have
/// ([`Error::is_of_adapter`]) is passed over while there is another; each time a sentence says so.
///
/// # Errors
/// That of the first, where none works; any other error at once.
pub(crate) fn first_that_works<A, T>(
    candidates: &[A],
    name: impl Fn(&A) -> String,
    mut attempt: impl FnMut(&A) -> Result<T>,
) -> Result<(T, Vec<String>)> {
    let mut passed_over = Vec::new();
    let mut first_error = None;
    for (index, candidate) in candidates.iter().enumerate() {
        match attempt(candidate) {
            Ok(made) => return Ok((made, passed_over)),
            Err(error) if error.is_of_adapter() => {
                if let Some(next) = candidates.get(index + 1) {
                    let names = [name(candidate), name(next)];
                    passed_over.push(format!(
                        "`{}` is passed over for `{}`: {error}",
                        names[0], names[1]
                    ));
                }
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first_error.unwrap_or(Error::NoAdapter {
        requested: None,
        found: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subgroups_of_apples_own_gpus_are_known() {
        let sizes = |backend, name: &str| {
            let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::IntegratedGpu, backend);
            (info.subgroup_min_size, info.subgroup_max_size) = (4, 64);
            info.name = name.into();
            subgroup_sizes(&info)
        };
        assert_eq!(sizes(wgpu::Backend::Metal, "Apple M4 Max"), (32, 32));
        assert_eq!(sizes(wgpu::Backend::Metal, "AMD Radeon Pro 5500M"), (4, 64));
        assert_eq!(sizes(wgpu::Backend::Vulkan, "Apple M1 (G13G B1)"), (4, 64));
    }
}
