//! A device: with which limits it was opened, and what became of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::adapter::{AdapterSummary, CooperativeMatrices, wanted};
use super::pipeline_cache::PipelineCache;
use crate::error::{Error, Result};
use crate::threads::{self, block_on};

/// The longest that one submission may take before the device is given up as hung.
const SUBMISSION_TIMEOUT: Duration = Duration::from_secs(120);

/// The same for a software adapter, which compiles kernels when they first run: with Mesa 25 a minute's worth of them in one submission.
const SOFTWARE_TIMEOUT: Duration = Duration::from_secs(600);

/// Features that are used where the adapter has them.
const FEATURES: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES)
    .union(wgpu::Features::PIPELINE_CACHE)
    .union(wgpu::Features::SUBGROUP);

/// The first thing that went wrong on the device outside an error scope.
#[derive(Default)]
struct Faults {
    lost: Option<String>,
    error: Option<String>,
    out_of_memory: bool,
}

/// A device with its queue. Cheap to clone; all clones are the same device.
#[derive(Clone)]
pub struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub adapter: AdapterSummary,
    pub limits: wgpu::Limits,
    /// Whether shaders can read and write rgba32uint textures.
    pub has_texel_stores: bool,
    /// The fewest lanes of a subgroup; 0 where there are no subgroup operations, or none that keep their promises.
    pub subgroup_lanes: u32,
    /// Cooperative matrices, where the device was opened with them and they were not found to compute wrongly.
    pub(crate) matrices: Option<CooperativeMatrices>,
    /// Shader files that others take the place of, because this driver does not compute what they should.
    pub(crate) stand_ins: Vec<(&'static str, &'static str)>,
    /// Compiled kernels that outlive the program.
    pub(super) pipeline_cache: Option<Arc<PipelineCache>>,
    faults: Arc<Mutex<Faults>>,
    /// Buffers, textures, bind groups, pipelines and query sets made so far.
    objects: Arc<AtomicU64>,
}

impl Gpu {
    /// Notes that an object was made. None may be inside a step, which a test counts.
    pub(super) fn count_object(&self) {
        self.objects.fetch_add(1, Ordering::Relaxed);
    }

    /// Buffers, textures, bind groups, pipelines and query sets made so far.
    #[cfg(test)]
    pub(crate) fn objects_made(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Opens an adapter: `requested` is its index in [`super::adapters`], or a part of its name or backend; `None` takes the first that
    /// gives a device.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where none is found or none matches, [`Error::NoDevice`] where it cannot be used.
    pub fn open(requested: Option<&str>) -> Result<Self> {
        block_on(Self::open_async(requested))?
    }

    /// As [`Gpu::open`], for browsers, where nothing may block. [`crate::Model::from_parts`] puts a model there.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub async fn open_async(requested: Option<&str>) -> Result<Self> {
        let mut first_error = None;
        for adapter in wanted(requested).await? {
            match Self::on(&adapter, false, |limits| limits).await {
                Err(error) => _ = first_error.get_or_insert(error),
                opened => return opened,
            }
        }
        Err(first_error.unwrap_or(Error::NoAdapter {
            requested: requested.map(str::to_owned),
            found: Vec::new(),
        }))
    }

    /// As [`Gpu::open`], with the adapter's limits narrowed by `restrict`: a way to behave as a lesser adapter would.
    ///
    /// # Errors
    /// As [`Gpu::open`]; [`Error::NoDevice`] also where the limits are refused.
    pub fn open_with(
        requested: Option<&str>,
        restrict: impl FnOnce(wgpu::Limits) -> wgpu::Limits,
    ) -> Result<Self> {
        let found = block_on(wanted(requested))??;
        match &found[..] {
            [adapter, ..] => block_on(Self::on(adapter, false, restrict))?,
            [] => Self::open(requested),
        }
    }

    /// Opens `adapter`, `with_matrices` with its cooperative matrices, where it has some, and with its limits narrowed by `restrict`.
    ///
    /// # Errors
    /// [`Error::NoDevice`].
    pub(super) async fn on(
        adapter: &wgpu::Adapter,
        with_matrices: bool,
        restrict: impl FnOnce(wgpu::Limits) -> wgpu::Limits,
    ) -> Result<Self> {
        let limits = restrict(adapter.limits());
        // No optional feature is needed: f16 and bf16 weights are unpacked from integers. Timestamps and subgroup operations are used
        // where there are some.
        let features = adapter.features() & FEATURES;
        let matrices = with_matrices.then(|| CooperativeMatrices::of(adapter));
        let matrices = matrices.flatten();
        let (features, experimental) = match matrices {
            None => (features, wgpu::ExperimentalFeatures::disabled()),
            // SAFETY: wgpu checks less of experimental features than of others. Ours are in one kernel, whose sizes are those that the adapter
            // names, whose addresses are constants within its own memory, and which a test runs wherever there are such matrices.
            Some(_) => (features | CooperativeMatrices::FEATURES, unsafe {
                wgpu::ExperimentalFeatures::enabled()
            }),
        };
        let asked = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("openelm"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: experimental,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        });
        let (device, queue) = asked.await.map_err(|error| Error::NoDevice {
            adapter: adapter.get_info().name,
            cause: error.to_string(),
        })?;

        let faults = Arc::new(Mutex::new(Faults::default()));
        let on_error = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut faults = on_error.lock().unwrap_or_else(|poison| poison.into_inner());
            faults.out_of_memory |= matches!(error, wgpu::Error::OutOfMemory { .. });
            faults.error.get_or_insert_with(|| error.to_string());
        }));
        let on_lost = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            let mut faults = on_lost.lock().unwrap_or_else(|poison| poison.into_inner());
            faults
                .lost
                .get_or_insert_with(|| format!("{reason:?}: {message}"));
        });
        let texels = adapter.get_texture_format_features(wgpu::TextureFormat::Rgba32Uint);
        let access = wgpu::TextureFormatFeatureFlags::STORAGE_READ_ONLY
            | wgpu::TextureFormatFeatureFlags::STORAGE_WRITE_ONLY;
        let summary = AdapterSummary::new(adapter);
        Ok(Self {
            subgroup_lanes: summary.features.subgroup_lanes,
            matrices,
            stand_ins: Vec::new(),
            pipeline_cache: None,
            has_texel_stores: texels
                .allowed_usages
                .contains(wgpu::TextureUsages::STORAGE_BINDING)
                && texels.flags.contains(access),
            device,
            queue,
            adapter: summary,
            limits,
            faults,
            objects: Arc::default(),
        })
    }

    /// Fails if the device was lost or has reported an error since it was opened.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub fn check(&self) -> Result<()> {
        let faults = self
            .faults
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        if let Some(why) = &faults.lost {
            return Err(Error::DeviceLost(why.clone()));
        }
        match &faults.error {
            Some(_) if faults.out_of_memory => Err(self.out_of_memory()),
            Some(what) => Err(Error::Gpu(what.clone())),
            None => Ok(()),
        }
    }

    /// What went wrong on the device, such as its loss, that `effect` may only be an effect of.
    pub(super) fn cause_of(&self, effect: Error) -> Error {
        // A lost device says so only when it is asked.
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.check().err().unwrap_or(effect)
    }

    /// Runs `make`, and returns an out-of-memory error that it causes instead of keeping it for [`Gpu::check`]: for what can be
    /// done without.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn try_allocating<T>(&self, make: impl FnOnce() -> T) -> Result<T> {
        let scope = self.error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = make();
        match scope.pop() {
            None => Ok(made),
            Some(_) => Err(self.out_of_memory()),
        }
    }

    /// From now on errors of this thread are the scope's.
    pub(super) fn error_scope(&self, filter: wgpu::ErrorFilter) -> ErrorScope {
        ErrorScope(threads::EXIST.then(|| self.device.push_error_scope(filter)))
    }

    fn out_of_memory(&self) -> Error {
        Error::OutOfMemory {
            adapter: self.adapter.name.clone(),
            need: None,
        }
    }

    /// Blocks until `submission` (or, with `None`, the latest one) is done and its callbacks have run.
    ///
    /// # Errors
    /// As [`Gpu::check`]; a submission that does not end in two minutes (ten on a software adapter) counts as a lost device.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let timeout = match self.is_software() {
            true => SOFTWARE_TIMEOUT,
            false => SUBMISSION_TIMEOUT,
        };
        let waited = self.device.poll(wgpu::PollType::Wait {
            submission_index: submission,
            timeout: Some(timeout),
        });
        if waited.is_err() {
            // A lost device takes no submissions, so there is nothing to wait for; this lets it say that it is lost.
            let _ = self.device.poll(wgpu::PollType::Poll);
        }
        self.check()?;
        waited.map(drop).map_err(|error| match error {
            wgpu::PollError::Timeout => Error::DeviceLost(format!(
                "a submission did not end in {} seconds",
                timeout.as_secs()
            )),
            other => Error::Gpu(other.to_string()),
        })
    }

    /// Whether a compute stage may bind whole 64 KiB windows of uniform memory, and enough of them.
    pub(crate) fn has_uniform_windows(&self, count: u32) -> bool {
        self.limits.max_uniform_buffer_binding_size >= 65536
            && self.limits.max_uniform_buffers_per_shader_stage >= count + 2
            && self.limits.max_dynamic_uniform_buffers_per_pipeline_layout >= count
    }

    /// Bytes of device memory that this device has allocated, where the backend counts them.
    pub fn allocated_bytes(&self) -> Option<u64> {
        let report = self.device.generate_allocator_report()?;
        Some(report.total_allocated_bytes)
    }

    /// What a report of a fault needs to know about the device: names and values.
    pub fn report(&self) -> Vec<(&'static str, String)> {
        let limits = &self.limits;
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        vec![
            ("largest buffer", mib(limits.max_buffer_size)),
            (
                "largest storage binding",
                mib(limits.max_storage_buffer_binding_size),
            ),
            (
                "largest uniform binding",
                format!("{} bytes", limits.max_uniform_buffer_binding_size),
            ),
            (
                "largest texture",
                limits.max_texture_dimension_2d.to_string(),
            ),
            (
                "storage buffers a stage",
                limits.max_storage_buffers_per_shader_stage.to_string(),
            ),
            (
                "workgroup memory",
                format!("{} bytes", limits.max_compute_workgroup_storage_size),
            ),
            (
                "threads a workgroup",
                limits.max_compute_invocations_per_workgroup.to_string(),
            ),
            ("weights in textures", yes(self.has_texel_stores)),
            (
                "subgroups",
                match self.subgroup_lanes {
                    0 => "none".to_owned(),
                    lanes => format!("at least {lanes} lanes"),
                },
            ),
            ("f16 arithmetic", yes(self.adapter.features.f16)),
            (
                "cooperative matrices",
                match self.adapter.features.cooperative_matrices {
                    0 => "none of f16".to_owned(),
                    size => format!("{size} x {size} of f16"),
                },
            ),
            ("timestamps", yes(self.adapter.features.timestamps)),
            ("pipeline cache", yes(self.adapter.features.pipeline_cache)),
            (
                "shader compiler",
                self.adapter.features.shader_compiler.clone(),
            ),
            (
                "free memory",
                self.free_memory()
                    .map_or("the driver does not tell".to_owned(), mib),
            ),
        ]
    }

    /// Whether the adapter is a card with memory of its own.
    pub(crate) fn is_discrete(&self) -> bool {
        self.adapter.device_type == "discrete gpu"
    }

    /// Whether the adapter is a program on the processor, sharing its memory.
    pub fn is_software(&self) -> bool {
        self.adapter.is_software()
    }
}

impl Gpu {
    /// As [`super::adapter::free_memory`], for this device.
    pub(crate) fn free_memory(&self) -> Option<u64> {
        super::adapter::free_memory(&self.adapter)
    }
}

/// Keeps an error for whoever pops it. In a browser, which would tell only when nobody waits any more, [`Gpu::check`] has it instead.
pub(super) struct ErrorScope(Option<wgpu::ErrorScopeGuard>);

impl ErrorScope {
    pub fn pop(self) -> Option<wgpu::Error> {
        pollster::block_on(self.0?.pop())
    }
}
