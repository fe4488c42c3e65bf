//! The thread that computes: it alone has the pool of texts. A round takes in what was asked for, begins texts as their turn comes, computes a
//! step of all, and hands out what came of it. It waits for the device, and for work where there is none, but never for a client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::event::Event;
use super::jobs::{Job, Shared};
use super::live::{Live, Load, Tick};
use super::metrics::Metrics;
use super::turns::{self, Standing};
use crate::error::{Error, Result};
use crate::generate::{Model, PoolEvent, Text, TextPool};

/// Where more than this lies unread, a request's further texts wait: some 64 tokens.
const UNREAD_BYTES: usize = 64 << 8;

/// How often, where nothing is at work, it is looked whether texts that wait for their reader may begin.
const LOOK: Duration = Duration::from_millis(20);

/// Whether the model can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    Ready,
    /// The device was lost, and the model is loaded again.
    Loading,
    /// The device was lost and did not come back, or the thread that computes has ended.
    Lost,
}

/// The health of a model, for several threads.
#[derive(Debug, Default)]
pub struct SharedHealth(AtomicU8);

impl SharedHealth {
    pub fn set(&self, health: Health) {
        self.0.store(health as u8, Ordering::Relaxed);
    }

    pub fn get(&self) -> Health {
        match self.0.load(Ordering::Relaxed) {
            0 => Health::Ready,
            1 => Health::Loading,
            _ => Health::Lost,
        }
    }
}

/// Whatever ends the thread, nobody computes then.
struct LostAtEnd(Arc<SharedHealth>);

impl Drop for LostAtEnd {
    fn drop(&mut self) {
        self.0.set(Health::Lost);
    }
}

/// Loads the model again, after its device was lost; given the [`crate::gpu::AdapterSummary::identity`] of an adapter that was lost again at once, on
/// another.
pub type Reload = Box<dyn FnMut(Option<&str>) -> Result<Model> + Send>;

/// Whose a text is.
struct Tag {
    job: u64,
    index: usize,
    has_token: bool,
}

/// A job with what has become of it.
struct RunningJob {
    job: Job,
    /// Texts that were begun, and those of them that are at work.
    begun: usize,
    working: usize,
    has_ended: Vec<bool>,
}

/// What the thread is given.
pub struct Worker {
    pub model: Model,
    pub jobs: Receiver<Job>,
    pub metrics: Arc<Metrics>,
    pub live: Live,
    pub health: Arc<SharedHealth>,
    pub reload: Option<Reload>,
    /// Is told of a model that was loaded again.
    pub on_reload: Box<dyn Fn(&Model) + Send>,
    /// What may lie unread of all jobs together.
    pub unread_bytes: usize,
}

impl Worker {
    /// Works until nobody can ask for anything any more.
    pub fn run(mut self) {
        let _at_end = LostAtEnd(Arc::clone(&self.health));
        let mut tokens = None;
        while let Err(error) = self.serve() {
            // A device that is lost at once, again and again, is broken; another adapter's may not be.
            let tokens_before = tokens.replace(self.metrics.now().generated_tokens);
            let is_broken = tokens_before == tokens;
            let adapter = self.model.adapter().identity();
            let broken = is_broken.then_some(adapter.as_str());
            match self.reload.as_mut().map(|reload| reload(broken)) {
                Some(Ok(model)) if broken != Some(&model.adapter().identity()) => {
                    (self.on_reload)(&model);
                    self.model = model;
                    self.health.set(Health::Ready);
                }
                Some(Err(why)) => return self.refuse(why),
                Some(Ok(_)) | None => return self.refuse(error),
            }
        }
    }

    /// Tells all who ask that there is no device.
    fn refuse(&self, error: Error) {
        let error = Arc::new(error);
        self.health.set(Health::Lost);
        for job in &self.jobs {
            for index in 0..job.texts.len() {
                self.metrics.failed();
                let error = Error::Shared(Arc::clone(&error));
                job.events.send(index, Event::Ended(Err(error)));
            }
        }
    }

    /// Writes what is asked for until nobody can ask any more, or the device is lost.
    fn serve(&self) -> Result<()> {
        let mut round = Round {
            pool: self.model.text_pool(),
            jobs: BTreeMap::new(),
            admitted: 0,
            readers: Vec::new(),
            metrics: &self.metrics,
            live: &self.live,
        };
        loop {
            if !round.take_in(&self.jobs) {
                return Ok(());
            }
            round.drop_cancelled();
            round.cut_slowest(self.unread_bytes);
            round.begin();
            round.note_load();
            if round.pool.is_empty() {
                round.wait(&self.jobs);
                continue;
            }
            if let Err(error) = round.step() {
                let device = self.model.network().gpu().check();
                if device.is_err() {
                    // Before anybody hears of it, and asks again.
                    self.health.set(Health::Loading);
                }
                round.fail_all(error);
                device?;
                // The device is well, but nobody knows what the pool holds.
                round.pool = self.model.text_pool();
            }
            round.note_load();
        }
    }
}

struct Round<'a> {
    pool: TextPool<Tag>,
    /// By number, which is the order in which they were asked.
    jobs: BTreeMap<u64, RunningJob>,
    admitted: u64,
    /// Of all jobs whose events somebody may still read.
    readers: Vec<Weak<Shared>>,
    metrics: &'a Metrics,
    live: &'a Live,
}

impl Round<'_> {
    /// Takes in what is asked for; waits where there is nothing to do. False when nobody can ask any more, and all is done.
    fn take_in(&mut self, jobs: &Receiver<Job>) -> bool {
        if self.jobs.is_empty() {
            match jobs.recv() {
                Ok(job) => self.take(job),
                Err(_) => return false,
            }
        }
        loop {
            match jobs.try_recv() {
                Ok(job) => self.take(job),
                // What goes on is cancelled by those who wait for it, or wanted.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Waits a moment: for another job, or for whoever has left too much lying to read some of it.
    fn wait(&mut self, jobs: &Receiver<Job>) {
        if self.jobs.is_empty() {
            return;
        }
        match jobs.recv_timeout(LOOK) {
            Ok(job) => self.take(job),
            Err(RecvTimeoutError::Timeout) => {}
            // What is left is about to be cancelled.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
        }
    }

    fn take(&mut self, job: Job) {
        self.admitted += 1;
        self.readers.push(Arc::downgrade(&job.events.shared));
        let running = RunningJob {
            begun: 0,
            working: 0,
            has_ended: vec![false; job.texts.len()],
            job,
        };
        self.jobs.insert(self.admitted, running);
    }

    /// Forgets texts that nobody wants any more and that have not begun. Those at work the pool ends.
    fn drop_cancelled(&mut self) {
        let metrics = self.metrics;
        self.jobs.retain(|_, running| {
            if running.job.events.is_cancelled() {
                metrics.cancelled(running.waiting());
                running.begun = running.job.texts.len();
            }
            running.working > 0 || running.waiting() > 0
        });
    }

    /// Where too much lies unread, ends whoever has left most of it lying.
    fn cut_slowest(&mut self, most: usize) {
        self.readers.retain(|reader| reader.strong_count() > 0);
        let readers = self.readers.iter().filter_map(Weak::upgrade);
        let readers: Vec<_> = readers.map(|reader| (reader.unread(), reader)).collect();
        let all: usize = readers.iter().map(|(unread, _)| unread).sum();
        if all > most
            && let Some((_, slowest)) = readers.iter().max_by_key(|(unread, _)| *unread)
        {
            slowest.cut();
        }
    }

    /// Begins texts whose turn it is, as far as there is room.
    fn begin(&mut self) {
        loop {
            let standings = self.jobs.iter().map(|(number, running)| {
                let standing = Standing {
                    has_more: running.waiting() > 0
                        && running.job.events.shared.unread() <= UNREAD_BYTES,
                    working: running.working,
                };
                (*number, standing)
            });
            let Some(number) = turns::next(standings, self.pool.room()) else {
                return;
            };
            if let Some(running) = self.jobs.get_mut(&number) {
                running.push_next(number, &mut self.pool);
            }
        }
    }

    /// Computes a step, and hands out what came of it.
    fn step(&mut self) -> Result<()> {
        let (jobs, metrics) = (&mut self.jobs, self.metrics);
        let (begin, mut generated_tokens) = (Instant::now(), 0);
        self.pool.set_trace(self.live.record().mode(begin));
        let ended = self.pool.step(|tag, event| {
            generated_tokens += u64::from(matches!(event, PoolEvent::Token(_)));
            if let Some(running) = jobs.get_mut(&tag.job) {
                running.hear(tag, event, metrics);
            }
        })?;
        self.live.record().add(Tick {
            begin,
            end: Instant::now(),
            prompt_tokens: self.pool.take_prompt_tokens(),
            generated_tokens,
            steps: self.pool.take_trace(),
        });
        for (tag, text) in ended {
            if let Some(running) = jobs.get_mut(&tag.job) {
                running.end(&tag, text, metrics);
            }
        }
        jobs.retain(|_, running| running.working > 0 || running.waiting() > 0);
        Ok(())
    }

    /// Nothing that was asked for can be written.
    fn fail_all(&mut self, error: Error) {
        let error = Arc::new(error);
        for running in std::mem::take(&mut self.jobs).into_values() {
            for (index, has_ended) in running.has_ended.iter().enumerate() {
                if !has_ended {
                    self.metrics.failed();
                    let error = Error::Shared(Arc::clone(&error));
                    running.job.events.send(index, Event::Ended(Err(error)));
                }
            }
        }
    }

    fn note_load(&self) {
        let pool = self.pool.load();
        let asked: usize = self
            .jobs
            .values()
            .map(|job| job.working + job.waiting())
            .sum();
        let load = Load {
            running: pool.running,
            waiting: asked.saturating_sub(pool.running),
            kv_used: pool.kv_used,
            kv_rows: pool.kv_rows,
        };
        let kv_usage = load.kv_used as f64 / load.kv_rows.max(1) as f64;
        self.metrics.note_load(load.running, load.waiting, kv_usage);
        self.live.record().set_load(load, Instant::now());
    }
}

impl RunningJob {
    /// Texts that have not begun.
    fn waiting(&self) -> usize {
        self.job.texts.len() - self.begun
    }

    fn push_next(&mut self, number: u64, pool: &mut TextPool<Tag>) {
        let Some(text) = self.job.texts.get(self.begun) else {
            return;
        };
        let tag = Tag {
            job: number,
            index: self.begun,
            has_token: false,
        };
        pool.push(tag, text.ids.clone(), text.options.clone());
        self.begun += 1;
        self.working += 1;
        // Its turn has come.
        self.job.place = None;
    }

    fn hear(&self, tag: &mut Tag, event: PoolEvent<'_>, metrics: &Metrics) {
        let since_asked = self.job.asked.elapsed();
        let event = match event {
            PoolEvent::Begun { cached } => {
                metrics.begun(since_asked);
                Event::Begun { cached }
            }
            PoolEvent::Prefill { .. } => return,
            PoolEvent::Prompt(scores) => Event::Prompt(scores.to_vec()),
            PoolEvent::Token(token) => {
                match std::mem::replace(&mut tag.has_token, true) {
                    true => metrics.next_token(token.time),
                    false => metrics.first_token(since_asked),
                }
                Event::Token(token)
            }
        };
        self.job.events.send(tag.index, event);
    }

    fn end(&mut self, tag: &Tag, text: Result<Text>, metrics: &Metrics) {
        self.working -= 1;
        if let Some(has_ended) = self.has_ended.get_mut(tag.index) {
            *has_ended = true;
        }
        match &text {
            Ok(text) => {
                let prompt = self.job.texts.get(tag.index);
                let prompt = prompt.map_or(0, |text| text.ids.len());
                metrics.ended(prompt, text, self.job.asked.elapsed());
            }
            Err(_) => metrics.failed(),
        }
        self.job.events.send(tag.index, Event::Ended(text));
    }
}
