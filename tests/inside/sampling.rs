//! The device chooses as the host does: the same token for the same random number, greedy and with every cut; and a text is the same
//! whether the device decodes ahead or the host waits for every step.

use super::common::{self, load, noise};
use openelm::gpu::Readback;
use openelm::kernels::FILES;
use openelm::kernels::sample::{self, Choice, GROUP, REPORT_WORDS};
use openelm::{Finish, GenerateOptions, Gpu, SampleOn, Sampler, SamplingParams, log_sum_exp};
use wgpu::util::DeviceExt;

/// Both kernels on a device, with what they need.
pub struct Lab {
    gpu: Gpu,
    pipelines: Vec<openelm::gpu::Pipeline>,
}

/// What the device said: the report, the id kept for the sequence's next step, and whether the id was marked as seen.
pub struct Report {
    pub words: Vec<u32>,
    chosen: u32,
    is_marked: bool,
}

impl Lab {
    pub fn new(files: &'static [(&'static str, &'static str)]) -> Self {
        let gpu = Gpu::open(None).unwrap();
        let specs: Vec<_> = [sample::ngrams_spec(), sample::groups_spec()]
            .into_iter()
            .chain(Choice::ALL.map(sample::pick_spec))
            .collect();
        let pipelines = gpu.compile(files, &specs).unwrap();
        Self { gpu, pipelines }
    }

    fn buffer(&self, bytes: &[u8]) -> wgpu::Buffer {
        self.gpu
            .device
            .create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents: bytes,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::UNIFORM
                    | wgpu::BufferUsages::COPY_SRC,
            })
    }

    pub fn choose(
        &self,
        sampling: &SamplingParams,
        logits: &[f32],
        history: &[u32],
        uniform: f32,
        top: u32,
    ) -> Report {
        let forbidden = &sampling.processors.suppress_tokens;
        let vocab = logits.len();
        let groups = vocab.div_ceil(GROUP);
        // Other rows stand beside it, with other parameters, slots and logits: the row in question is the second of three.
        let stride = vocab.next_multiple_of(64);
        let mut padded = vec![1e30; 4 * stride];
        padded[..vocab].copy_from_slice(&logits.iter().rev().copied().collect::<Vec<_>>());
        padded[3 * stride..][..vocab].copy_from_slice(logits);
        let words = sample::id_words(vocab);
        let history_words = sample::history_words(vocab, history.len());
        let mut seen = vec![0u32; 3 * history_words];
        for (set, ids) in [(0, history), (1, forbidden)] {
            for id in ids {
                seen[2 * history_words + set * words + *id as usize / 32] |= 1 << (id % 32);
            }
        }
        // What a step before has left there.
        seen[2 * history_words + 2 * words..][..words].fill(u32::MAX);
        seen[2 * history_words + 3 * words..][..history.len()].copy_from_slice(history);
        let shape = self.buffer(bytemuck::bytes_of(&sample::Shape {
            vocab: vocab as u32,
            groups: groups as u32,
            logits_stride: stride as u32 / 4,
            history_stride: history_words as u32,
        }));
        let row = |logits_row, slot, sampling: &SamplingParams, random, top_count| sample::Row {
            logits_row,
            slot,
            top_count,
            top_k: match sampling.top_k as usize >= vocab {
                true => 0,
                false => sampling.top_k,
            },
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            penalty: sampling.repetition_penalty,
            random,
            len: match slot {
                2 => history.len() as u32,
                _ => 0,
            },
            ngram: sampling.processors.no_repeat_ngram_size as u32,
            scored: sample::NO_ID,
        };
        let greedy = SamplingParams::default();
        let mut rows = vec![row(0, 0, &greedy, 0.0, 0); sample::MOST_ROWS];
        rows[0] = row(0, 1, &greedy, 0.5, 2);
        rows[1] = row(3, 2, sampling, uniform, top);
        // The same sequence's may be scored beside it, which disturbs nothing.
        rows[2] = sample::Row {
            scored: 0,
            ..row(3, 2, &greedy, 0.5, 0)
        };
        let [logits, adjusted, group_facts, seen, chosen, report, rows] = [
            self.buffer(bytemuck::cast_slice(&padded)),
            self.buffer(&vec![0; 3 * groups * GROUP * 4]),
            self.buffer(&vec![0; 3 * groups * 16]),
            self.buffer(bytemuck::cast_slice(&seen)),
            self.buffer(&[0xff; 12]),
            self.buffer(&[0; 3 * REPORT_WORDS * 4]),
            self.buffer(bytemuck::cast_slice(&rows)),
        ];
        let is_random = sampling.temperature > 0.0;
        let pick = &self.pipelines[if is_random { 3 } else { 2 }];
        let ngrams = sample::NgramsBindings {
            shape: shape.as_entire_binding(),
            rows: rows.as_entire_binding(),
            history: seen.as_entire_binding(),
        };
        let ngrams = self.pipelines[0].bind(&self.gpu, &ngrams.into_list());
        let first = sample::GroupsBindings {
            shape: shape.as_entire_binding(),
            rows: rows.as_entire_binding(),
            logits: logits.as_entire_binding(),
            history: seen.as_entire_binding(),
            adjusted: adjusted.as_entire_binding(),
            groups: group_facts.as_entire_binding(),
        };
        let first = self.pipelines[1].bind(&self.gpu, &first.into_list());
        let second = sample::PickBindings {
            shape: shape.as_entire_binding(),
            rows: rows.as_entire_binding(),
            logits: logits.as_entire_binding(),
            adjusted: adjusted.as_entire_binding(),
            groups: group_facts.as_entire_binding(),
            history: seen.as_entire_binding(),
            chosen: chosen.as_entire_binding(),
            report: report.as_entire_binding(),
        };
        let second = pick.bind(&self.gpu, &second.into_list());
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            if sampling.processors.no_repeat_ngram_size > 0 {
                pass.set_pipeline(&self.pipelines[0].pipeline);
                pass.set_bind_group(0, &ngrams, &[]);
                pass.dispatch_workgroups(1, 3, 1);
            }
            pass.set_pipeline(&self.pipelines[1].pipeline);
            pass.set_bind_group(0, &first, &[]);
            pass.dispatch_workgroups(sample::workgroups(vocab), 3, 1);
            pass.set_pipeline(&pick.pipeline);
            pass.set_bind_group(0, &second, &[]);
            pass.dispatch_workgroups(1, 3, 1);
        }
        let outputs = [&report, &chosen, &seen].map(|buffer| {
            let readback = Readback::new(&self.gpu, buffer.size());
            readback.record(&mut encoder, buffer, buffer.size());
            (readback, buffer.size() as usize / 4)
        });
        let submission = self.gpu.queue.submit([encoder.finish()]);
        let [words, chosen, seen] = outputs.map(|(readback, count)| {
            readback
                .read(&self.gpu, submission.clone(), count, |floats| {
                    floats.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
                })
                .unwrap()
        });
        // The first row has its own logits, the other way round.
        let other = logits_of(&words[0..], 0);
        let is_nan = logits_are_nan(&words, 0);
        assert!(chosen[1] == other.0 || is_nan);
        let words_of = words[REPORT_WORDS..2 * REPORT_WORDS].to_vec();
        let id = words_of[0];
        Report {
            is_marked: seen[2 * history_words + id as usize / 32] >> (id % 32) & 1 == 1
                && (seen[3 * history_words - 1] == id || history.is_empty()),
            chosen: chosen[2],
            words: words_of,
        }
    }
}

/// Whether a row's report says that a logit is NaN.
fn logits_are_nan(words: &[u32], row: usize) -> bool {
    f32::from_bits(words[row * REPORT_WORDS + 3]) < 0.0
}

/// Id and logit that a row's report tells.
fn logits_of(words: &[u32], row: usize) -> (u32, f32) {
    let report = &words[row * REPORT_WORDS..];
    (report[0], f32::from_bits(report[1]))
}

pub fn sampling(
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    penalty: f32,
) -> SamplingParams {
    let mut sampling = SamplingParams::default();
    sampling.temperature = temperature;
    sampling.top_k = top_k;
    sampling.top_p = top_p;
    sampling.min_p = min_p;
    sampling.repetition_penalty = penalty;
    sampling
}

/// Logits that fall off as a language model's do, in no order; some are equal.
fn logits(seed: u64, vocab: usize) -> Vec<f32> {
    let noise = noise(seed, vocab);
    noise
        .iter()
        .map(|x| (x.abs().ln() * 64.0).round() / -32.0 * x.signum() - 3.0)
        .collect()
}

#[test]
fn the_device_chooses_what_the_host_chooses() {
    let lab = Lab::new(FILES);
    let mut settings = vec![
        sampling(0.0, 0, 1.0, 0.0, 1.0),
        sampling(0.0, 0, 1.0, 0.0, 1.3),
        sampling(1.0, 0, 1.0, 0.0, 1.0),
        sampling(0.7, 0, 0.9, 0.0, 1.1),
        sampling(1.5, 40, 1.0, 0.0, 1.0),
        sampling(1.0, 5, 0.5, 0.0, 2.0),
        sampling(1.0, 0, 1.0, 0.05, 1.0),
        sampling(2.0, 100, 0.95, 0.01, 1.2),
        sampling(1.0, 1, 0.9, 0.0, 1.0),
        sampling(1.0, 0, 0.0, 0.0, 1.0),
        sampling(0.01, 0, 0.99, 0.0, 1.0),
    ];
    // The same with ids that cannot be chosen, among them the most probable ones of small vocabularies.
    for index in [0, 1, 2, 3, 5, 7] {
        let mut setting = settings[index].clone();
        setting.processors.suppress_tokens = vec![0, 1, 5, 16, 31, 32, 33, 63, 999, 4000, 31999];
        settings.push(setting);
    }
    for (index, size) in [(0, 1), (1, 2), (3, 3), (4, 1), (1, 40), (0, 100_000)] {
        let mut setting = settings[index].clone();
        setting.processors.no_repeat_ngram_size = size;
        settings.push(setting);
    }
    let mut different = 0;
    let mut all = 0;
    for (seed, vocab) in (1..).zip([3, 17, 64, 1000, 4096, 32000, 70001]) {
        let logits = logits(seed, vocab);
        let mut history: Vec<u32> = (0..vocab as u32).step_by(7).collect();
        // Its end was at its beginning too.
        history.extend_from_within(..history.len().min(4));
        for setting in &settings {
            let mut setting = setting.clone();
            let suppressed = &mut setting.processors.suppress_tokens;
            suppressed.retain(|id| (*id as usize) < vocab);
            for uniform in [0.0, 0.31, 0.5, 0.77, 0.999_999_9] {
                let expected = Sampler::new(setting.clone())
                    .choose(&logits, &history, uniform)
                    .unwrap();
                let report = lab.choose(&setting, &logits, &history, uniform, 0);
                let id = report.words[0];
                all += 1;
                if id != expected {
                    // Sums are rounded differently, so on the border of two shares either may be right: what the host says a little
                    // to the left and to the right, or what lies between.
                    let near = |by: f32| {
                        let uniform = (uniform + by).clamp(0.0, 1.0);
                        Sampler::new(setting.clone())
                            .choose(&logits, &history, uniform)
                            .unwrap()
                    };
                    assert!(
                        (near(-2e-5)..=near(2e-5)).contains(&id),
                        "{id} for {expected}: {setting:?}, {vocab}, {uniform}"
                    );
                    different += 1;
                }
                assert_eq!(report.chosen, id);
                assert!(report.is_marked);
                assert_eq!(f32::from_bits(report.words[1]), logits[id as usize]);
                let highest = f64::from(f32::from_bits(report.words[2]));
                let log_sum = highest + f64::from(f32::from_bits(report.words[3])).ln();
                assert!((log_sum - log_sum_exp(&logits)).abs() < 1e-5);
            }
        }
    }
    assert!(
        different * 50 <= all,
        "{different} of {all} lie on a border"
    );
}

/// Where top-p needs only some of several equals, those with the highest ids stay, on the device as on the host.
#[test]
fn of_equals_as_many_stay_as_are_needed() {
    let lab = Lab::new(FILES);
    for (vocab, top_p) in [(4, 0.6), (10, 0.55), (1000, 0.3005), (5000, 0.9001)] {
        let mut logits = vec![1.0; vocab];
        logits[vocab / 2] = 1.5;
        for (setting, uniforms) in [
            (sampling(1.0, 0, top_p, 0.0, 1.0), [0.0, 0.4, 0.999]),
            (sampling(0.5, 2, top_p, 0.0, 1.0), [0.0, 0.5, 0.999]),
        ] {
            for uniform in uniforms {
                let expected = Sampler::new(setting.clone())
                    .choose(&logits, &[], uniform)
                    .unwrap();
                let found = lab.choose(&setting, &logits, &[], uniform, 0).words[0];
                assert!(
                    found.abs_diff(expected) <= 1,
                    "{found} for {expected} of {vocab}"
                );
            }
        }
    }
}

#[test]
fn a_logit_that_is_no_number_is_told() {
    let lab = Lab::new(FILES);
    let sampling = [
        sampling(0.0, 0, 1.0, 0.0, 1.0),
        sampling(1.0, 5, 0.9, 0.0, 1.3),
    ];
    for (vocab, wrong) in [
        (3, &[2][..]),
        (100, &[0]),
        (4096, &[17, 2048, 4095]),
        (70001, &[70000]),
    ] {
        let mut logits = logits(3, vocab);
        for setting in &sampling {
            let fine = lab.choose(setting, &logits, &[0], 0.5, 2);
            assert!(!logits_are_nan(&fine.words, 0));
        }
        wrong.iter().for_each(|id| logits[*id] = f32::NAN);
        for setting in &sampling {
            let report = lab.choose(setting, &logits, &[0], 0.5, 2);
            assert_eq!(report.words[0] as usize, wrong[0]);
            assert!(logits_are_nan(&report.words, 0));
        }
    }
}

#[test]
fn the_most_probable_tokens_come_in_order_and_equals_by_id() {
    let lab = Lab::new(FILES);
    for vocab in [3usize, 40, 32000] {
        let mut logits = logits(5, vocab);
        logits[1] = f32::NAN;
        let count = sample::MOST_TOP.min(vocab - 1);
        let report = lab.choose(&SamplingParams::default(), &logits, &[0], 0.0, count as u32);
        let mut order: Vec<u32> = (0..vocab as u32).filter(|id| *id != 1).collect();
        let logit = |id: u32| logits[id as usize];
        order.sort_by(|a, b| logit(*b).total_cmp(&logit(*a)).then(a.cmp(b)));
        let found: Vec<u32> = report.words[4..].chunks(2).map(|pair| pair[0]).collect();
        assert_eq!(found[..count], order[..count]);
        for (id, bits) in report.words[4..]
            .chunks(2)
            .take(count)
            .map(|pair| (pair[0], pair[1]))
        {
            assert_eq!(f32::from_bits(bits), logit(id));
        }
    }
}

/// The ids that follow.
fn texts_of(model: &openelm::Model, prompt: &[u32], sampling: &SamplingParams) -> Vec<u32> {
    let mut options = GenerateOptions::default();
    options.sampling = sampling.clone();
    options.max_tokens = Some(20);
    let mut session = model.session().unwrap();
    let generation = session.generate(prompt, &options).unwrap();
    generation.map(|token| token.unwrap().id).collect()
}

/// Ids, log-probabilities, alternatives and the end are the same both ways, and so is what the session holds afterwards.
#[test]
fn decoding_ahead_changes_no_text() {
    let model = load("demo", None, true);
    let prompt = model.encode("There was once a king").unwrap();
    let mut forbidding = sampling(0.0, 0, 1.0, 0.0, 1.1);
    let plain = texts_of(&model, &prompt, &forbidding);
    forbidding.processors.min_new_tokens = Some(9);
    forbidding.processors.suppress_tokens = vec![plain[3], 77];
    forbidding.processors.begin_suppress_tokens = vec![plain[0]];
    forbidding.processors.bad_words_ids = vec![vec![plain[5]]];
    let mut warm = sampling(0.9, 40, 0.9, 0.0, 1.0);
    warm.processors = forbidding.processors.clone();
    let mut repeated = forbidding.clone();
    repeated.processors.no_repeat_ngram_size = 2;
    let mut never = sampling(0.9, 0, 1.0, 0.0, 1.0);
    never.processors.no_repeat_ngram_size = 1;
    // Beyond the device, which leaves it to the host.
    let mut biased = repeated.clone();
    biased.processors.sequence_bias = vec![(vec![plain[0]], 2.0), (vec![plain[1], plain[2]], -5.0)];
    for (setting, top) in [
        (sampling(0.0, 0, 1.0, 0.0, 1.2), 4),
        (sampling(0.8, 50, 0.95, 0.0, 1.1), 0),
        (sampling(1.0, 0, 1.0, 0.0, 1.0), 2),
        (forbidding, 0),
        (warm, 0),
        (repeated, 0),
        (never, 0),
        (biased, 0),
    ] {
        let run = |sample_on: SampleOn| {
            let mut options = GenerateOptions::default();
            options.sampling = setting.clone();
            options.sampling.seed = 11;
            options.max_tokens = Some(60);
            options.top_logprobs = top;
            if setting.processors.min_new_tokens.is_some() {
                options.eos_token_ids = Some(plain[1..8].to_vec());
            }
            options.sample_on = Some(sample_on);
            let mut session = model.session().unwrap();
            let mut generation = session.generate(&prompt, &options).unwrap();
            let tokens: Vec<_> = generation.by_ref().map(Result::unwrap).collect();
            let finish = generation.finish();
            let ids = generation.ids().to_vec();
            drop(generation);
            // The last token's keys and values are not needed, but the device may have been ahead.
            let all = prompt.len() + ids.len();
            assert!((all - 1..=all).contains(&session.tokens().len()));
            let mut longer = prompt.clone();
            longer.extend(&ids);
            let computed = session.prefill(&longer, |_, _| true).unwrap();
            assert_eq!(computed, 1, "what was decoded is kept");
            let score = session.score(&longer, 3).unwrap();
            (tokens, finish, ids, score)
        };
        let (ahead, waiting) = (run(SampleOn::Device), run(SampleOn::Host));
        assert_eq!(ahead.1, waiting.1);
        assert_eq!(ahead.2, waiting.2);
        if let Some(least) = setting.processors.min_new_tokens {
            assert!(ahead.2.len() > least);
            assert_ne!(ahead.2[0], plain[0]);
            assert!(!ahead.2.contains(&plain[3]) && !ahead.2.contains(&plain[5]));
        }
        assert_eq!(ahead.3, waiting.3);
        for (a, b) in ahead.0.iter().zip(&waiting.0) {
            assert_eq!((a.id, &a.text, a.finish), (b.id, &b.text, b.finish));
            assert!(
                (a.logprob - b.logprob).abs() < 1e-4,
                "{} {}",
                a.logprob,
                b.logprob
            );
            let ids = |token: &openelm::Token| token.top.iter().map(|c| c.id).collect::<Vec<_>>();
            assert_eq!(ids(a), ids(b));
        }
    }
}

/// The end of the context, of a text and of the caller's patience each end a run of the device's in time.
#[test]
fn a_run_ends_where_it_should() {
    let mut load_options = common::options(None, false);
    load_options.context_size = Some(40);
    let model = openelm::Model::load("demo", &load_options).unwrap();
    let mut session = model.session().unwrap();
    let prompt = model.encode("Once").unwrap();
    let mut options = GenerateOptions::default();
    options.ignore_eos = true;
    options.sample_on = Some(SampleOn::Device);
    let mut generation = session.generate(&prompt, &options).unwrap();
    let tokens: Vec<_> = generation.by_ref().map(Result::unwrap).collect();
    assert_eq!(generation.finish(), Some(Finish::Context));
    assert_eq!(prompt.len() + tokens.len(), 40);
    drop(generation);
    // Dropped in the middle of a run, then another text: the surplus must leave no trace.
    let ids = |session: &mut openelm::Session, count: usize| -> Vec<u32> {
        let generation = session.generate(&prompt, &options).unwrap();
        generation
            .take(count)
            .map(|token| token.unwrap().id)
            .collect()
    };
    let part = ids(&mut session, 7);
    let again = ids(&mut session, 20);
    assert_eq!(part[..], again[..7]);
    assert_eq!(
        again[..],
        tokens.iter().map(|token| token.id).collect::<Vec<_>>()[..20]
    );
}
