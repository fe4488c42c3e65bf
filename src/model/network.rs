//! A network on a device: what is resident, and behind a lock the executor of its steps with the pool of keys and values.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::adapter_facts::{AdapterFacts, AdapterKey, AdapterRates};
use super::batch::{Batch, Room};
use super::executor::{Executor, Outcome, Ticket};
use super::f16_prefill;
use super::kv_origin::KvOrigin;
use super::kv_pool::KvPool;
use super::options::{LoadOptions, Progress, Tune};
use super::peaks;
use super::plan::Plan;
use super::resident::{Pipelines, Resident, upload_rotations};
use super::results::RowResult;
use super::rows::SequenceId;
use super::self_test;
use super::sizes::{self, StepSizes};
use super::tune;
use super::tune_cache;
use super::weights::{self, Layout, Weights};
use crate::checkpoint::{Checkpoint, Config};
use crate::dtype::Dtype;
use crate::error::{Error, MemoryNeed, Result};
use crate::gpu::{Gpu, Readback};
use crate::kernels::linear::Tuning;
use crate::kernels::{self, ComputePath};
use crate::threads;
use crate::trace::TraceMode;

/// A loaded network; sequences share it.
pub struct Network {
    resident: Resident,
    /// As [`LoadOptions::tuning_cache`].
    measurements: Option<PathBuf>,
    core: Mutex<Core>,
    /// As of the pool, to be read without waiting for a step.
    epoch: AtomicU64,
    /// As [`Checkpoint::fingerprint`], where sessions can be saved.
    fingerprint: Option<u128>,
    /// Whether keys and values had to become f32 and nobody has been told.
    has_widened: AtomicBool,
}

struct Core {
    executor: Executor,
    pool: KvPool,
}

impl Network {
    /// Puts `checkpoint` on `gpu`: kernels compile while weights are uploaded.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with sizes; [`Error::ContextSize`] for a context that cannot be had; [`Error::ComputesWrongly`]; errors of
    /// the checkpoint and of the device.
    pub fn load(
        mut gpu: Gpu,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<(Self, Vec<String>)> {
        let config = checkpoint.config.clone();
        let limit = options.context_limit.unwrap_or(usize::MAX);
        let context_size = context_size(&config, options.context_size)?.min(limit.max(1));
        let mut layout = weights::layout(checkpoint, options.dtype)?;
        if options.dtype.is_none() {
            weights::keep_in_range(&mut layout, checkpoint)?;
        }
        if options.f16_prefill {
            f16_prefill::note_range(&mut layout, checkpoint)?;
        }
        let exact = options.exact_kv;
        // What cannot fit on any path need not be measured first.
        let kv = kv_bytes(&config, context_size, exact);
        check_memory(&gpu, &layout, context_size, options, kv)?;
        prepare(&mut gpu, options)?;
        let tune::Chosen { path, tuning } =
            tune::choose(&gpu, &config, layout.main_dtype(), options)?;
        sizes::check_context(&gpu, &config, path, context_size, exact)?;
        layout.split_into(weights::most_part_bytes(&gpu, path));
        let sizes = StepSizes::new(&gpu, &config, path)?;
        if options.f16_prefill {
            f16_prefill::check_sizes(&gpu, &sizes)?;
        }
        let plan = Plan::new(super::plan::Blueprint {
            config: &config,
            layout: &layout,
            path,
            tuning,
            subgroup_lanes: gpu.subgroup_lanes,
            sizes,
            context_size,
            exact_kv: exact,
        });
        let activations = plan.bytes();
        let session = kv + activations;
        check_memory(&gpu, &layout, context_size, options, session)?;
        let cancel = options.cancel.as_deref();
        let mut go_on = |done| {
            progress(done);
            match cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                true => Err(Error::Cancelled),
                false => Ok(()),
            }
        };
        let compile = || {
            let mut pipelines = Pipelines::default();
            pipelines.add(&gpu, plan.kernels())?;
            Ok(pipelines)
        };
        let hash = || {
            let hashed = options.can_save.then(|| checkpoint.fingerprint());
            hashed.transpose()
        };
        let (pipelines, (fingerprint, weights)) = threads::beside(compile, || {
            threads::beside(hash, || {
                Weights::load(&gpu, checkpoint, &layout, path, &mut go_on)
            })
        });
        let pipelines =
            pipelines.unwrap_or_else(|_| Err(Error::Gpu("compiling kernels panicked".into())));
        let fingerprint =
            fingerprint.unwrap_or_else(|_| Err(Error::Bug("hashing weights panicked".into())));
        let in_full = |error| match error {
            Error::OutOfMemory { .. } => {
                out_of_memory(&gpu, &layout, context_size, options, session, None)
            }
            other => other,
        };
        let (weights, mut warnings) = weights.map_err(in_full)?;
        warnings.extend(f16_prefill::warning(&layout));
        gpu.keep_pipeline_cache();
        let rotations = upload_rotations(&gpu, &config, context_size);
        let resident = Resident {
            memory_limit: options
                .memory_limit
                .map(|limit| limit.saturating_sub(activations)),
            gpu,
            path,
            tuning,
            sizes,
            context_size,
            weights,
            rotations,
            layout,
            config,
        };
        let made = KvPool::new(&resident, exact).and_then(|pool| {
            let executor = Executor::new(&resident, plan, pipelines?, &pool)?;
            Ok(Core { executor, pool })
        });
        let core = made.map_err(|error| match error {
            Error::OutOfMemory { .. } => {
                let Resident { gpu, layout, .. } = &resident;
                out_of_memory(gpu, layout, context_size, options, session, None)
            }
            other => other,
        })?;
        let network = Self {
            resident,
            measurements: options.tuning_cache.clone(),
            core: Mutex::new(core),
            epoch: AtomicU64::new(0),
            fingerprint: fingerprint?,
            has_widened: AtomicBool::new(false),
        };
        Ok((network, warnings))
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    pub fn gpu(&self) -> &Gpu {
        &self.resident.gpu
    }

    pub fn config(&self) -> &Config {
        &self.resident.config
    }

    /// What the adapter can do at best: as an earlier measurement had it, or by measuring, which takes a second and wants a device that has
    /// nothing else to do.
    ///
    /// # Errors
    /// Those of the device.
    pub fn adapter_rates(&self) -> Result<AdapterRates> {
        let gpu = self.gpu();
        let key = AdapterKey::new(gpu);
        let file = self.measurements.as_deref();
        if let Some(rates) = file.and_then(|file| tune_cache::facts(file, &key).rates) {
            return Ok(rates);
        }
        let measured = peaks::measure(gpu)?;
        if let Some(file) = file.filter(|_| measured.is_quiet) {
            let rates = measured.rates.clone();
            tune_cache::change_facts(file, key, |facts| facts.rates = Some(rates));
        }
        Ok(measured.rates)
    }

    /// Which family of kernels computes it.
    pub fn path(&self) -> ComputePath {
        self.resident.path
    }

    /// Sizes of the kernels.
    pub fn tuning(&self) -> Tuning {
        self.resident.tuning
    }

    /// Positions of a sequence.
    pub fn context_size(&self) -> usize {
        self.resident.context_size
    }

    /// Format of the weights: the one that most bytes have.
    pub fn dtype(&self) -> Dtype {
        self.resident.layout.main_dtype()
    }

    /// Bytes of weights that decoding a token reads: all but those of an embedding that is not the head.
    pub fn weight_bytes_per_token(&self) -> u64 {
        self.resident.layout.bytes_per_token()
    }

    /// Bytes of all weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.resident.layout.bytes()
    }

    /// Bytes of keys and values of all sequences, with rows that are free.
    pub fn kv_cache_bytes(&self) -> u64 {
        self.core().pool.bytes(&self.resident)
    }

    /// Rows of keys and values that have users, and all that there are now.
    pub(crate) fn kv_rows(&self) -> (usize, usize) {
        let core = self.core();
        // One is nobody's.
        let all = core.pool.rows().capacity().saturating_sub(1);
        (all.saturating_sub(core.pool.rows().free_rows()), all)
    }

    /// Bytes of activations and logits, which all sequences share.
    pub fn scratch_bytes(&self) -> u64 {
        self.core().executor.plan().bytes()
    }

    /// Bytes of keys and values that decoding a token at `position` reads.
    pub fn cache_bytes_per_token(&self, position: usize) -> u64 {
        let exact = self.core().pool.exact;
        (position + 1) as u64 * sizes::position_bytes(&self.resident.config, exact)
    }

    /// Counts how often everything that was computed was lost.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// True once after keys and values had to become f32, and prompts with them.
    pub fn take_widened(&self) -> bool {
        self.has_widened.swap(false, Ordering::Relaxed)
    }

    /// Whether prompts are multiplied in f16, and have not had to become f32.
    pub fn has_f16_prefill(&self) -> bool {
        self.core().executor.has_f16_prefill()
    }

    /// Whether keys and values are f32, from the beginning or since they had to be.
    pub fn has_exact_kv(&self) -> bool {
        self.core().pool.exact
    }

    /// What keys and values depend on.
    ///
    /// # Errors
    /// [`Error::Misuse`] where the model was loaded without [`LoadOptions::can_save`].
    pub(crate) fn kv_origin(&self) -> Result<KvOrigin> {
        let fingerprint = self.fingerprint.ok_or_else(|| {
            Error::Misuse(
                "sessions are saved and restored only with `can_save` in LoadOptions".into(),
            )
        })?;
        let core = self.core();
        let has_f16_prefill = core.executor.has_f16_prefill();
        Ok(KvOrigin::new(
            &self.resident,
            fingerprint,
            core.pool.exact,
            has_f16_prefill,
        ))
    }

    /// Lends the pool. Whoever has it must not wait for the device, nor ask the network.
    pub(super) fn with_pool<T>(&self, borrow: impl FnOnce(&Resident, &mut KvPool) -> T) -> T {
        borrow(&self.resident, &mut self.core().pool)
    }

    pub(super) fn create(&self) -> Result<SequenceId> {
        self.resident.gpu.check()?;
        self.core().pool.create(&self.resident)
    }

    pub(super) fn free(&self, id: SequenceId) {
        self.core().pool.rows_mut().free(id);
    }

    pub(super) fn fork(&self, id: SequenceId, len: u32) -> Result<SequenceId> {
        self.core().pool.fork(&self.resident, id, len)
    }

    pub(super) fn truncate(&self, id: SequenceId, len: u32) -> Result<()> {
        self.core().pool.rows_mut().truncate(id, len)
    }

    pub(super) fn computed(&self, id: SequenceId) -> Result<u32> {
        self.core().pool.rows().computed(id)
    }

    /// Makes sure that a sequence has rows of the cache for its first `len` positions.
    pub(super) fn reserve(&self, id: SequenceId, len: u32) -> Result<()> {
        self.core().pool.reserve(&self.resident, id, len)
    }

    /// What a step has room for.
    pub(crate) fn room(&self) -> Room {
        self.core().executor.room(&self.resident)
    }

    /// Makes what detailed timing needs.
    pub(crate) fn prepare_timer(&self) {
        self.core().executor.prepare_timer(&self.resident);
    }

    /// An empty batch, for rows that follow what sequences hold now. Should that be lost before it is submitted, [`Network::read`] says so.
    pub(crate) fn batch(&self) -> Batch {
        Batch::of_epoch(self.epoch())
    }

    /// Submits a step, whose rows of the cache were reserved before.
    ///
    /// # Errors
    /// Those of [`Batch::check`] and of the device.
    pub(crate) fn submit(&self, batch: &Batch, mode: TraceMode) -> Result<Ticket> {
        let core = &mut *self.core();
        core.executor
            .submit(&self.resident, &mut core.pool, batch, mode)
    }

    /// Waits for a step and hands each of its results to `read`, which must not ask the network, with its row in the batch. False where they are worth nothing, because
    /// keys, values or what prompts are multiplied in were too large for f16: from then on all is f32, and every sequence computes again what it held.
    ///
    /// # Errors
    /// Those of the device; [`Error::OutOfMemory`] where it has no room for f32.
    pub(crate) fn read(
        &self,
        ticket: &Ticket,
        read: impl FnMut(usize, RowResult<'_>),
    ) -> Result<bool> {
        threads::block_on(self.read_async(ticket, read))?
    }

    /// As [`Network::read`], without blocking where somebody else polls the device, as browsers do.
    ///
    /// # Errors
    /// As [`Network::read`].
    pub(crate) async fn read_async(
        &self,
        ticket: &Ticket,
        read: impl FnMut(usize, RowResult<'_>),
    ) -> Result<bool> {
        let notices = self.core().executor.notices(ticket);
        for notice in notices {
            // Not while holding the lock: others may submit meanwhile.
            notice.arrived(&self.resident.gpu).await?;
        }
        let core = &mut *self.core();
        match core.executor.read(&self.resident, ticket, read)? {
            Outcome::Read => Ok(true),
            Outcome::Overflow => self.widen(core).map(|()| false),
        }
    }

    /// Waits for all that was submitted, so that what sequences hold is known to be right: where a key or value was too large for f16, they
    /// hold nothing any more. Steps with results need no such thing.
    ///
    /// # Errors
    /// As [`Network::read`].
    pub(crate) fn settle(&self) -> Result<()> {
        let gpu = &self.resident.gpu;
        let readback = gpu.try_allocating(|| Readback::new(gpu, 4))?;
        let submission = {
            let core = self.core();
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            readback.record_at(&mut encoder, core.executor.overflow()?, 4, 0);
            gpu.queue.submit([encoder.finish()])
        };
        let fits = readback.read(gpu, submission, 1, |words| words[0].to_bits() == 0)?;
        match fits {
            true => Ok(()),
            false => self.widen(&mut self.core()),
        }
    }

    /// Keys, values and prompts become f32, unless they are; everything that was computed is lost.
    fn widen(&self, core: &mut Core) -> Result<()> {
        if core.pool.exact && !core.executor.has_f16_prefill() {
            return Ok(());
        }
        // What can fail comes first, and changes nothing: an epoch that only one of the two knew of would have every batch thrown away.
        let plan = core.executor.compile_exact(&self.resident)?;
        core.pool.widen(&self.resident)?;
        core.executor.take_plan(&self.resident, plan);
        self.epoch.store(core.pool.epoch, Ordering::Release);
        self.has_widened.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Finds out what can be relied on, and where compiled kernels are kept.
fn prepare(gpu: &mut Gpu, options: &LoadOptions) -> Result<()> {
    let file = options.tuning_cache.as_deref();
    if let Some(folder) = file.and_then(Path::parent) {
        gpu.open_pipeline_cache(folder, kernels::fingerprint());
    }
    if let Some(file) = file.filter(|_| options.tune == Tune::Again) {
        let key = AdapterKey::new(gpu);
        tune_cache::change_facts(file, key, |facts| *facts = AdapterFacts::default());
    }
    // In a browser nothing could wait for what comes of it.
    match options.skip_self_test || !threads::EXIST {
        true => Ok(()),
        false => self_test::pass(gpu, file),
    }
}

fn context_size(config: &Config, requested: Option<usize>) -> Result<usize> {
    match requested {
        None => Ok(config.max_context_length),
        Some(size) if (1..=config.max_context_length).contains(&size) => Ok(size),
        Some(size) => Err(Error::ContextSize {
            requested: size,
            possible: config.max_context_length,
            adapter: None,
        }),
    }
}

/// Bytes of the weights on the device when stored as `dtype` (`None`: chosen tensor by tensor).
///
/// # Errors
/// Those of reading the checkpoint.
pub fn weight_bytes(checkpoint: &Checkpoint, dtype: Option<Dtype>) -> Result<u64> {
    Ok(weights::layout(checkpoint, dtype)?.bytes())
}

/// Bytes of a whole context's keys and values.
pub fn kv_bytes(config: &Config, context_size: usize, exact_kv: bool) -> u64 {
    context_size as u64 * sizes::position_bytes(config, exact_kv)
}

/// Refuses early what cannot fit, where the room is known.
fn check_memory(
    gpu: &Gpu,
    layout: &Layout,
    context_size: usize,
    options: &LoadOptions,
    session: u64,
) -> Result<()> {
    let room = [options.memory_limit, gpu.free_memory()]
        .into_iter()
        .flatten()
        .min();
    match room {
        Some(room) if layout.bytes() + session > room => Err(out_of_memory(
            gpu,
            layout,
            context_size,
            options,
            session,
            Some(room),
        )),
        _ => Ok(()),
    }
}

fn out_of_memory(
    gpu: &Gpu,
    layout: &Layout,
    context_size: usize,
    options: &LoadOptions,
    session: u64,
    room: Option<u64>,
) -> Error {
    Error::OutOfMemory {
        adapter: gpu.adapter.name.clone(),
        need: Some(MemoryNeed {
            weights: layout.bytes(),
            session,
            available: room,
            is_limit: room.is_some() && options.memory_limit == room,
            dtype: layout.main_dtype(),
            context_size,
            exact_kv: options.exact_kv,
        }),
    }
}
