//! Takes connections in: as many as there may be, and for new ones makes those leave that only wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection;
use super::settings::Limits;
use super::socket::Socket;
use super::stop::{Phase, Stop};

/// How long to wait for a place before another connection is asked to leave.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a failure to take in a connection is given to pass, such as too many open files.
const RECOVERY: Duration = Duration::from_millis(100);

/// Connections by number.
type Sockets = Arc<Mutex<BTreeMap<u64, Arc<Socket>>>>;

/// The connections of a server.
pub struct Connections {
    places: Arc<Semaphore>,
    most: u32,
    sockets: Sockets,
    limits: Arc<Limits>,
    router: Router,
    stop: Stop,
}

impl Connections {
    pub fn new(router: Router, limits: Limits, stop: Stop) -> Self {
        let most = u32::try_from(limits.connections.max(1)).unwrap_or(u32::MAX);
        let most = most.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            places: Arc::new(Semaphore::new(most as usize)),
            most,
            sockets: Sockets::default(),
            limits: Arc::new(limits),
            router,
            stop,
        }
    }

    /// Takes in connections until the server closes.
    pub async fn accept(&self, listener: &TcpListener) {
        let mut count = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.reached(Phase::Closing) => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(RECOVERY).await;
                continue;
            };
            let place = tokio::select! {
                place = self.place() => place,
                () = self.stop.reached(Phase::Closing) => return,
            };
            count += 1;
            self.begin(count, stream, place);
        }
    }

    /// A place for one more connection. Where there is none, whoever has waited longest for a request has to leave.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        loop {
            self.make_room();
            let place = Arc::clone(&self.places).acquire_owned();
            if let Ok(place) = tokio::time::timeout(PATIENCE, place).await {
                return place.ok();
            }
        }
    }

    fn make_room(&self) {
        let sockets = lock(&self.sockets);
        let waiting = sockets
            .values()
            .filter_map(|socket| Some((socket.waiting_since()?, socket)));
        if let Some((_, socket)) = waiting.min_by_key(|(since, _)| *since) {
            socket.give_up();
        }
    }

    fn begin(&self, number: u64, stream: TcpStream, place: Option<OwnedSemaphorePermit>) {
        // Tokens are small and are to come at once.
        let _ = stream.set_nodelay(true);
        let (socket, io) = Socket::new(stream);
        lock(&self.sockets).insert(number, Arc::clone(&socket));
        let (sockets, limits) = (Arc::clone(&self.sockets), Arc::clone(&self.limits));
        let (router, stop) = (self.router.clone(), self.stop.clone());
        tokio::spawn(async move {
            connection::serve(socket, io, router, &limits, stop).await;
            lock(&sockets).remove(&number);
            drop(place);
        });
    }

    /// Whether every connection only waits for a request.
    pub fn are_idle(&self) -> bool {
        lock(&self.sockets)
            .values()
            .all(|socket| socket.waiting_since().is_some())
    }

    /// Returns when all connections have ended.
    pub async fn ended(&self) {
        // It fails only where the semaphore is closed, and nobody closes it.
        let _ = self.places.acquire_many(self.most).await;
    }
}

fn lock(sockets: &Sockets) -> MutexGuard<'_, BTreeMap<u64, Arc<Socket>>> {
    sockets.lock().unwrap_or_else(|poison| poison.into_inner())
}
