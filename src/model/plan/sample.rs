//! Choosing tokens on the device.

use super::{Blueprint, BufferId, Dispatch, Resource, bytes_of};
use crate::kernels::sample::{self, Choice, GROUP};
use crate::model::op::{DispatchShape, Op, Stage, Traffic, Work};
use crate::model::sizes::{floats, stride};

impl Blueprint<'_> {
    /// What looks for repetitions, what every way of choosing tokens begins with, then greedy and random picks.
    pub(super) fn sample(&self) -> (Op<Dispatch>, Op<Dispatch>, [Op<Dispatch>; 2]) {
        let vocab = self.config.vocab_size;
        let groups = vocab.div_ceil(GROUP);
        let parameters = bytes_of(&sample::Shape {
            vocab: vocab as u32,
            groups: groups as u32,
            logits_stride: stride(vocab) / 4,
            history_stride: sample::history_words(vocab, self.context_size) as u32,
        });
        let op = |kernel, bindings, workgroups, traffic| Op {
            stage: Stage::Sample,
            layer: None,
            base_macs: vocab as u64,
            traffic,
            work: Work::All(vec![Dispatch {
                kernel,
                parameters: parameters.clone(),
                bindings,
                workgroups,
                shape: DispatchShape::Rows(1),
            }]),
        };
        let buffer = Resource::Buffer;
        let ngrams_bindings = sample::NgramsBindings {
            shape: Resource::Shape,
            rows: buffer(BufferId::SampleRows),
            history: buffer(BufferId::History),
        };
        let ngrams = op(
            sample::ngrams_spec(),
            ngrams_bindings.into_list(),
            1,
            Traffic::default(),
        );
        let groups_bindings = sample::GroupsBindings {
            shape: Resource::Shape,
            rows: buffer(BufferId::SampleRows),
            logits: buffer(BufferId::Logits),
            history: buffer(BufferId::History),
            adjusted: buffer(BufferId::Adjusted),
            groups: buffer(BufferId::Groups),
        };
        let first = op(
            sample::groups_spec(),
            groups_bindings.into_list(),
            sample::workgroups(vocab),
            Traffic {
                read: floats(vocab),
                written: floats(vocab),
                ..Traffic::default()
            },
        );
        let picks = Choice::ALL.map(|choice| {
            let bindings = sample::PickBindings {
                shape: Resource::Shape,
                rows: buffer(BufferId::SampleRows),
                logits: buffer(BufferId::Logits),
                adjusted: buffer(BufferId::Adjusted),
                groups: buffer(BufferId::Groups),
                history: buffer(BufferId::History),
                chosen: buffer(BufferId::Chosen),
                report: buffer(BufferId::Report),
            };
            let all = match choice {
                Choice::Highest => 0,
                Choice::Random => floats(vocab),
            };
            let traffic = Traffic {
                read: groups as u64 * 16 + all,
                written: floats(sample::REPORT_WORDS),
                ..Traffic::default()
            };
            op(sample::pick_spec(choice), bindings.into_list(), 1, traffic)
        });
        (ngrams, first, picks)
    }
}
