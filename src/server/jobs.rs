//! What crosses between connections and the thread that computes: jobs one way, events of their texts the other.
//!
//! Neither waits for the other. Jobs are as many as there are places in the queue. Events are as many as a text has tokens; how much of them
//! lies unread is counted, so that whoever lets too much lie can be cut off.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc as events};

use super::event::Event;
use super::openai::AskedText;

/// Texts that are asked for together.
pub struct Job {
    pub texts: Vec<AskedText>,
    pub asked: Instant,
    pub events: EventSender,
    /// Its place in the queue, until its turn comes.
    pub place: Option<OwnedSemaphorePermit>,
}

/// Both sides' view of a job.
#[derive(Debug, Default)]
pub struct Shared {
    /// Bytes that lie unread.
    unread: AtomicUsize,
    /// Nobody wants it any more; what generation looks at.
    cancel: Arc<AtomicBool>,
    /// It was cut off, because too much lay unread.
    is_cut: AtomicBool,
}

impl Shared {
    pub fn unread(&self) -> usize {
        self.unread.load(Ordering::Relaxed)
    }

    /// Ends it for its reader's slowness.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        self.cancel.store(true, Ordering::Relaxed);
    }
}

/// The computing side of a job's events.
pub struct EventSender {
    sender: events::UnboundedSender<(usize, Event)>,
    pub shared: Arc<Shared>,
}

impl EventSender {
    /// Hands out an event of the text at `index`.
    pub fn send(&self, index: usize, event: Event) {
        self.shared
            .unread
            .fetch_add(bytes(&event), Ordering::Relaxed);
        // Whoever does not listen any more has cancelled.
        let _ = self.sender.send((index, event));
    }

    pub fn is_cancelled(&self) -> bool {
        self.shared.cancel.load(Ordering::Relaxed)
    }
}

/// The waiting side of a job's events. Dropping it cancels what goes on.
pub struct EventReceiver {
    receiver: events::UnboundedReceiver<(usize, Event)>,
    shared: Arc<Shared>,
    /// Texts that have not ended.
    open: usize,
}

/// Why no more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All texts have ended.
    Done,
    /// Too much lay unread.
    Cut,
    /// Nobody computes any more.
    Gone,
}

impl EventReceiver {
    /// The next event, with the index of its text.
    ///
    /// # Errors
    /// What there is in its place.
    pub async fn next(&mut self) -> Result<(usize, Event), End> {
        if let Some(end) = self.end() {
            return Err(end);
        }
        let event = self.receiver.recv().await.ok_or(End::Gone)?;
        self.end()
            .filter(|end| *end == End::Cut)
            .map_or(Ok(()), Err)?;
        Ok(self.take(event))
    }

    /// The next event, if it is there.
    pub fn try_next(&mut self) -> Option<(usize, Event)> {
        match self.end() {
            Some(_) => None,
            None => self.receiver.try_recv().ok().map(|event| self.take(event)),
        }
    }

    fn take(&mut self, (index, event): (usize, Event)) -> (usize, Event) {
        self.shared
            .unread
            .fetch_sub(bytes(&event), Ordering::Relaxed);
        self.open -= usize::from(matches!(event, Event::Ended(_)));
        (index, event)
    }

    fn end(&self) -> Option<End> {
        match self.shared.is_cut.load(Ordering::Relaxed) {
            true => Some(End::Cut),
            false => (self.open == 0).then_some(End::Done),
        }
    }
}

impl Drop for EventReceiver {
    fn drop(&mut self) {
        self.shared.cancel.store(true, Ordering::Relaxed);
    }
}

/// Where jobs are asked for.
pub struct Queue {
    jobs: mpsc::Sender<Job>,
    places: Arc<Semaphore>,
}

/// Why a job was not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may.
    Full,
    /// Nobody computes any more.
    Gone,
}

impl Queue {
    /// A queue of so many places, and where its jobs come out.
    pub fn new(places: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel();
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        let queue = Self {
            jobs: sender,
            places: Arc::new(Semaphore::new(places)),
        };
        (queue, receiver)
    }

    /// Asks for texts.
    ///
    /// # Errors
    /// Why nothing comes of it.
    pub fn ask(&self, mut texts: Vec<AskedText>) -> Result<EventReceiver, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refused::Full)?;
        let (sender, receiver) = events::unbounded_channel();
        let shared = Arc::<Shared>::default();
        for text in &mut texts {
            text.options.cancel = Some(Arc::clone(&shared.cancel));
        }
        let events = EventReceiver {
            receiver,
            shared: Arc::clone(&shared),
            open: texts.len(),
        };
        let job = Job {
            texts,
            asked: Instant::now(),
            events: EventSender { sender, shared },
            place: Some(place),
        };
        self.jobs.send(job).map_err(|_| Refused::Gone)?;
        Ok(events)
    }
}

/// What an event takes while it lies, nearly.
fn bytes(event: &Event) -> usize {
    const EACH: usize = size_of::<(usize, Event)>();
    const CANDIDATE: usize = size_of::<crate::generate::Candidate>();
    match event {
        Event::Token(token) => EACH + token.text.len() + token.top.len() * CANDIDATE,
        Event::Prompt(tokens) => tokens.iter().fold(EACH, |sum, token| {
            sum + size_of_val(token) + token.top.len() * CANDIDATE
        }),
        Event::Begun { .. } | Event::Ended(_) => EACH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::generate::GenerateOptions;

    fn text() -> AskedText {
        AskedText {
            ids: vec![1],
            options: GenerateOptions::default(),
        }
    }

    #[test]
    fn places_are_counted_and_come_back() {
        let (queue, jobs) = Queue::new(2);
        let first = queue.ask(vec![text()]).map(drop);
        let second = queue.ask(vec![text()]);
        assert_eq!(first, Ok(()));
        assert!(second.is_ok());
        assert_eq!(queue.ask(vec![text()]).err(), Some(Refused::Full));
        // The first was cancelled by whoever asked, and it is the worker that gives its place back.
        let job = jobs.recv().unwrap();
        assert!(job.events.is_cancelled());
        drop(job);
        assert!(queue.ask(vec![text()]).is_ok());
        drop(jobs);
        assert_eq!(queue.ask(vec![text()]).err(), Some(Refused::Gone));
    }

    #[test]
    fn events_come_in_order_until_all_texts_have_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let (queue, jobs) = Queue::new(8);
        let mut events = queue.ask(vec![text(), text()]).unwrap();
        let job = jobs.recv().unwrap();
        assert!(events.try_next().is_none());
        job.events.send(1, Event::Begun { cached: 3 });
        assert!(job.events.shared.unread() > 0);
        job.events.send(1, Event::Ended(Err(Error::Cancelled)));
        job.events.send(0, Event::Ended(Err(Error::Cancelled)));
        let next = |events: &mut EventReceiver| runtime.block_on(events.next());
        assert!(matches!(
            next(&mut events),
            Ok((1, Event::Begun { cached: 3 }))
        ));
        assert!(matches!(events.try_next(), Some((1, Event::Ended(_)))));
        assert!(matches!(next(&mut events), Ok((0, Event::Ended(_)))));
        assert_eq!(job.events.shared.unread(), 0);
        assert_eq!(next(&mut events).err(), Some(End::Done));
        let mut other = queue.ask(vec![text()]).unwrap();
        let other_job = jobs.recv().unwrap();
        other_job.events.send(0, Event::Begun { cached: 0 });
        other_job.events.shared.cut();
        assert_eq!(next(&mut other).err(), Some(End::Cut));
        drop(queue.ask(vec![text()]));
        let mut left = queue.ask(vec![text()]).unwrap();
        drop(jobs);
        assert_eq!(next(&mut left).err(), Some(End::Gone));
    }
}
