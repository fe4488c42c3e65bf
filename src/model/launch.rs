//! A plan bound to memory: pipelines and bind groups, made when a model is loaded or the pool of keys and values has grown, never inside a
//! step.

use std::collections::HashMap;

use super::kv_pool::KvPool;
use super::op::{DispatchShape, HasShape, Op, Work};
use super::plan::{
    BufferId, Dispatch, NormId, Ops, Plan, PlannedBuffer, Resource, TOKEN_INDEX_STRIDE,
};
use super::resident::{Pipelines, Resident};
use crate::error::{Error, Result};
use crate::gpu::Pipeline;
use crate::gpu::pipeline::window;

/// A pipeline with its resources.
pub struct Launch {
    pipeline: Pipeline,
    bind_group: wgpu::BindGroup,
    workgroups: u32,
    shape: DispatchShape,
}

impl HasShape for Launch {
    fn shape(&self) -> DispatchShape {
        self.shape
    }
}

/// Room for a launch's dynamic offsets: the output's, then one an input window.
const MAX_OFFSETS: usize = 5;

impl Launch {
    /// Records the launch for the rows `first..first + count` of a step, none of which looks at more than `kv_len` positions. Kernels
    /// without windows know by themselves where their rows begin.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, first: u32, count: u32, kv_len: u32) {
        pass.set_pipeline(&self.pipeline.pipeline);
        match self.shape {
            DispatchShape::Rows(tile) => {
                pass.set_bind_group(0, &self.bind_group, &[]);
                pass.dispatch_workgroups(self.workgroups, count.div_ceil(tile), 1);
            }
            DispatchShape::Splits(positions) => {
                pass.set_bind_group(0, &self.bind_group, &[]);
                pass.dispatch_workgroups(self.workgroups, count, kv_len.div_ceil(positions));
            }
            DispatchShape::Runs => {
                pass.set_bind_group(0, &self.bind_group, &[]);
                pass.dispatch_workgroups(self.workgroups, count, 1);
            }
            DispatchShape::Batches { tokens, in_bytes } => {
                for row in (first..first + count).step_by(tokens as usize) {
                    let offsets = [row * in_bytes, row * TOKEN_INDEX_STRIDE];
                    pass.set_bind_group(0, &self.bind_group, &offsets);
                    let rows = tokens.min(first + count - row);
                    pass.dispatch_workgroups(self.workgroups, rows, 1);
                }
            }
            DispatchShape::Windows {
                tokens,
                windows,
                columns,
                in_bytes,
                out_bytes,
            } => {
                let end = first + count;
                for row in (first..end).step_by((tokens * columns) as usize) {
                    let columns = columns.min((end - row).div_ceil(tokens));
                    let mut offsets = [row * out_bytes; MAX_OFFSETS];
                    for (i, offset) in (0..windows).zip(&mut offsets[1..]) {
                        *offset = (row + i * columns * (tokens / windows)) * in_bytes;
                    }
                    pass.set_bind_group(0, &self.bind_group, &offsets[..1 + windows as usize]);
                    pass.dispatch_workgroups(columns, self.workgroups, 1);
                }
            }
        }
    }
}

/// The buffers of a plan.
pub struct Buffers(HashMap<BufferId, wgpu::Buffer>);

impl Buffers {
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(resident: &Resident, plan: &Plan) -> Result<Self> {
        let gpu = &resident.gpu;
        let buffer = |planned: &PlannedBuffer| {
            let mut usage = wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_DST
                | wgpu::BufferUsages::COPY_SRC;
            if planned.is_uniform {
                usage |= wgpu::BufferUsages::UNIFORM;
            }
            let label = format!("{:?}", planned.id);
            (planned.id, gpu.buffer(&label, planned.bytes, usage))
        };
        let buffers: HashMap<_, _> =
            gpu.try_allocating(|| plan.buffers.iter().map(buffer).collect())?;
        let buffers = Self(buffers);
        // Each row's number at the start of a window of its own.
        let indices = buffers.get(BufferId::TokenIndices)?;
        let count = indices.size() / u64::from(TOKEN_INDEX_STRIDE);
        let mut numbers = vec![0; indices.size() as usize];
        for (row, window) in (0..count as u32).zip(numbers.chunks_mut(TOKEN_INDEX_STRIDE as usize))
        {
            window[..4].copy_from_slice(&row.to_le_bytes());
        }
        gpu.queue.write_buffer(indices, 0, &numbers);
        Ok(buffers)
    }

    /// # Errors
    /// [`Error::Bug`] for one that was not planned.
    pub fn get(&self, id: BufferId) -> Result<&wgpu::Buffer> {
        self.0
            .get(&id)
            .ok_or_else(|| Error::Bug(format!("{id:?} was not planned")))
    }
}

/// Binds a plan.
pub struct Binder<'a> {
    pub resident: &'a Resident,
    pub pipelines: &'a Pipelines,
    pub buffers: &'a Buffers,
    pub pool: &'a KvPool,
}

impl Binder<'_> {
    /// # Errors
    /// Those of the device.
    pub fn bind(&self, ops: &Ops<Dispatch>) -> Result<Ops<Launch>> {
        let all = |ops: &[Op<Dispatch>]| -> Result<Vec<Op<Launch>>> {
            ops.iter().map(|op| self.op(op)).collect()
        };
        let [highest, random] = &ops.sample_picks;
        let bound = Ops {
            trunk: all(&ops.trunk)?,
            wanted: ops.wanted,
            tail: all(&ops.tail)?,
            sample_ngrams: self.op(&ops.sample_ngrams)?,
            sample_groups: self.op(&ops.sample_groups)?,
            sample_picks: [self.op(highest)?, self.op(random)?],
        };
        self.resident.gpu.check()?;
        Ok(bound)
    }

    fn op(&self, op: &Op<Dispatch>) -> Result<Op<Launch>> {
        let list = |dispatches: &[Dispatch]| -> Result<Vec<Launch>> {
            dispatches.iter().map(|each| self.launch(each)).collect()
        };
        Ok(Op {
            stage: op.stage,
            layer: op.layer,
            base_macs: op.base_macs,
            traffic: op.traffic,
            work: match &op.work {
                Work::All(all) => Work::All(list(all)?),
                Work::Classes { generated, prompt } => Work::Classes {
                    generated: list(generated)?,
                    prompt: list(prompt)?,
                },
            },
        })
    }

    fn launch(&self, dispatch: &Dispatch) -> Result<Launch> {
        let gpu = &self.resident.gpu;
        let pipeline = self.pipelines.get(&dispatch.kernel)?.clone();
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let shape = gpu.buffer("shape", dispatch.parameters.len() as u64, usage);
        gpu.queue.write_buffer(&shape, 0, &dispatch.parameters);
        let resources = dispatch.bindings.iter();
        let resources: Vec<_> = resources
            .map(|resource| self.resource(*resource, &shape))
            .collect::<Result<_>>()?;
        Ok(Launch {
            bind_group: pipeline.bind(gpu, &resources),
            pipeline,
            workgroups: dispatch.workgroups,
            shape: dispatch.shape,
        })
    }

    fn resource<'r>(
        &'r self,
        resource: Resource,
        shape: &'r wgpu::Buffer,
    ) -> Result<wgpu::BindingResource<'r>> {
        let weights = &self.resident.weights;
        Ok(match resource {
            Resource::Shape => shape.as_entire_binding(),
            Resource::Weights(id, part) => weights.matrices.get(id)[part].binding(),
            Resource::Norm(id) => self.norm(id).as_entire_binding(),
            Resource::NormWindow(id, bytes) => window(self.norm(id), 0, bytes),
            Resource::Rotations => self.resident.rotations.as_entire_binding(),
            Resource::Keys(layer) => self.pool.layers[layer].keys.binding(),
            Resource::Values(layer) => self.pool.layers[layer].values.binding(),
            Resource::Buffer(id) => self.buffer(id)?.as_entire_binding(),
            Resource::Window(id, bytes) => window(self.buffer(id)?, 0, bytes),
        })
    }

    fn norm(&self, id: NormId) -> &wgpu::Buffer {
        let weights = &self.resident.weights;
        match id {
            NormId::Attn(layer) => &weights.layers[layer].attn,
            NormId::Qk(layer) => &weights.layers[layer].qk,
            NormId::Ffn(layer) => &weights.layers[layer].ffn,
            NormId::Final => &weights.norm,
        }
    }

    fn buffer(&self, id: BufferId) -> Result<&wgpu::Buffer> {
        let tables = &self.pool.tables;
        match id {
            BufferId::RowTable => Ok(&tables.rows),
            BufferId::History => Ok(&tables.history),
            BufferId::Chosen => Ok(&tables.chosen),
            _ => self.buffers.get(id),
        }
    }
}
