//! A connection's socket, as hyper reads and writes it, and as others watch it: whether a request has been on its way for too long, whether the
//! peer takes in what it is sent, whether it is still there.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::Version;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use super::settings::Limits;

/// How often a connection is asked for its end while bytes of a next request hide it.
const HIDDEN_END: Duration = Duration::from_millis(100);

/// How soon, and then how often, a socket is asked whether it is broken.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// What says nothing. Of all interim answers this is the one that every client passes over: Python's takes a 102 for the answer.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What goes on with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing, between requests.
    Idle,
    /// The head of a request is coming.
    Head,
    /// Its body is.
    Body,
    /// An answer is made, or sent.
    Answer,
}

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing was asked for long enough.
    Idle,
    /// A head is not whole yet, and could be answered to.
    Head,
    /// The peer takes in nothing.
    Stalled,
}

/// How a peer has come to send no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It has ended its side, and may still take in what it is sent.
    Side,
    /// It is gone.
    Broken,
}

struct State {
    phase: Phase,
    since: Instant,
    /// Whether hyper still holds some of an answer that is made: then the peer has nothing to hurry with.
    is_unsent: bool,
    /// Since when the peer has taken in nothing of what was to be sent.
    stalled: Option<Instant>,
}

/// A connection's socket.
pub struct Socket {
    read: OwnedReadHalf,
    state: Mutex<State>,
    unwanted: Notify,
}

impl Socket {
    /// A socket to share, and one for hyper.
    pub fn new(stream: TcpStream) -> (Arc<Self>, Io) {
        let (read, write) = stream.into_split();
        let socket = Arc::new(Self {
            read,
            // The first head is due at once.
            state: Mutex::new(State {
                phase: Phase::Head,
                since: Instant::now(),
                is_unsent: false,
                stalled: None,
            }),
            unwanted: Notify::new(),
        });
        let io = Io {
            socket: Arc::clone(&socket),
            write,
        };
        (socket, io)
    }

    fn stream(&self) -> &TcpStream {
        self.read.as_ref()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        (state.phase, state.since) = (phase, Instant::now());
    }

    /// A request has come as far as the end of its head.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.enter(Phase::Body);
        InFlight(Arc::clone(self))
    }

    /// A request has come whole.
    pub fn has_body(&self) {
        self.enter(Phase::Answer);
    }

    /// Whether the connection is to end, and why.
    pub fn overdue(&self, limits: &Limits) -> Option<Overdue> {
        let state = self.state();
        let is_over = |since: Instant, most: Duration| since.elapsed() > most;
        if state
            .stalled
            .is_some_and(|since| is_over(since, limits.stalled_time))
        {
            return Some(Overdue::Stalled);
        }
        match state.phase {
            _ if state.is_unsent => None,
            Phase::Idle if is_over(state.since, limits.keep_alive) => Some(Overdue::Idle),
            Phase::Head if is_over(state.since, limits.header_time) => Some(Overdue::Head),
            _ => None,
        }
    }

    /// Since when the connection has been waiting for a request; `None` where it is answering one, until the last of that is sent.
    pub fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase != Phase::Answer && !state.is_unsent).then_some(state.since)
    }

    /// hyper has handed over all that it held, or is gone with it.
    pub fn sent(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.is_unsent) {
            // From now on the peer can be expected to go on.
            state.since = Instant::now();
        }
    }

    /// The place is wanted for another connection.
    pub fn give_up(&self) {
        self.unwanted.notify_one();
    }

    /// Returns when somebody wants the place, if it still can be had.
    pub async fn given_up(&self) {
        loop {
            self.unwanted.notified().await;
            if self.waiting_since().is_some() {
                return;
            }
        }
    }

    /// Sends bytes at once, past hyper, where nothing that hyper sends is held up. What does not fit is lost. False where the connection turns
    /// out to be broken.
    pub fn send_now(&self, bytes: &[u8]) -> bool {
        let is_held_up = {
            let state = self.state();
            state.stalled.is_some() || state.is_unsent
        };
        is_held_up
            || match self.stream().try_write(bytes) {
                Ok(_) => true,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            }
    }

    /// Returns when the peer sends no more, although there may be bytes that were not read yet, or the connection is broken.
    pub async fn closed(&self) -> Closed {
        loop {
            match self.stream().peek(&mut [0]).await {
                Ok(0) => return Closed::Side,
                // The system says so once: later the socket has no error.
                Err(_) => return Closed::Broken,
                Ok(_) => {}
            }
            match self.stream().ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(HIDDEN_END).await,
                Ok(_) if self.has_no_error() => return Closed::Side,
                Ok(_) | Err(_) => return Closed::Broken,
            }
        }
    }

    fn has_no_error(&self) -> bool {
        matches!(self.stream().take_error(), Ok(None))
    }

    /// Returns when the peer, after it was sent something, has said that it knows of no such connection any more.
    pub async fn broken(&self) {
        let mut pause = FIRST_LOOK;
        while self.has_no_error() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// Returns when the peer is gone, before any of an answer was sent to it. One that has ended its side looks like one that is gone, but still
    /// takes in what it is sent: an interim answer, which clients pass over, tells them apart.
    pub async fn gone(&self, version: Version) {
        let closed = self.closed().await;
        // Before HTTP/1.1 there were no interim answers. Proxies that speak it end both sides at once.
        if closed == Closed::Broken || version <= Version::HTTP_10 {
            return;
        }
        // What hyper still has of answers before goes first.
        tokio::time::sleep(FIRST_LOOK).await;
        if self.send_now(INTERIM) {
            self.broken().await;
        }
    }

    /// Reads and drops what the peer still sends: as long as bytes lie unread, closing a socket takes back what was just written.
    pub async fn linger(&self, most_time: Duration, most_bytes: usize) {
        let drain = async {
            let (mut buffer, mut bytes) = (vec![0; 16 << 10], 0);
            while bytes < most_bytes && self.stream().readable().await.is_ok() {
                match self.stream().try_read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => bytes += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        // However far it came.
        let _ = tokio::time::timeout(most_time, drain).await;
    }
}

/// A request that is under way, until its answer is made. Of that hyper may hold megabytes by then.
pub struct InFlight(Arc<Socket>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.phase, state.since, state.is_unsent) = (Phase::Idle, Instant::now(), true);
    }
}

/// The socket for hyper.
pub struct Io {
    socket: Arc<Socket>,
    write: OwnedWriteHalf,
}

impl Io {
    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let mut state = self.socket.state();
        match written {
            Poll::Pending => {
                state.stalled.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => state.stalled = None,
        }
        drop(state);
        written
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.socket.stream();
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    buffer.advance(count);
                    let mut state = self.socket.state();
                    if state.phase == Phase::Idle && count > 0 {
                        (state.phase, state.since) = (Phase::Head, Instant::now());
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.write).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.write).poll_write_vectored(context, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.write).poll_flush(context);
        // hyper asks for this only once it holds nothing itself.
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.socket.sent();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}
