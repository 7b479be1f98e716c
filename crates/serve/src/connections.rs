//! Open connections: their number, their states, and which of them give way to new ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Connections in addition to the limit that are served only what is answered without computing, so
/// that health is answered when all others are busy.
const RESERVE: usize = 16;

/// All open connections.
pub(crate) struct Connections {
    limit: usize,
    open: AtomicUsize,
    /// Those that wait for their client, in the order in which they began to, with the number of
    /// the last. They give way to new ones when the limit is reached, so that nobody keeps others
    /// out with connections without requests.
    idle: Mutex<(u64, BTreeMap<u64, Arc<Notify>>)>,
}

/// State of one connection, known to its stream and to its requests.
pub(crate) struct Connection {
    connections: Arc<Connections>,
    is_reserve: bool,
    state: Mutex<State>,
    /// Notified when another connection needs the place.
    place_is_needed: Arc<Notify>,
}

struct State {
    phase: Phase,
    /// True if the client passes over interim responses, which HTTP/1.0 does not have.
    knows_interim: bool,
    /// Number among the idle ones.
    number: Option<u64>,
}

/// Phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between two requests.
    Idle,
    /// The head of a request is arriving.
    Head,
    /// The body is arriving.
    Body,
    /// The request is complete and is being answered.
    Answer,
    /// The answer is being sent.
    Reply,
    /// All of the answer has been given to the connection.
    Sent,
}

impl Connections {
    /// Creates a registry for at most `limit` connections.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: AtomicUsize::new(0), idle: Mutex::default() })
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Admits a new connection. At the limit, the one that has been idle for longest gives way; if
    /// none is idle, the new one takes a place of the reserve. `None` if that is full, too.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Arc<Connection>> {
        let open = self.open();
        let is_reserve = open >= self.limit && !self.make_place();
        if is_reserve && open >= self.limit + RESERVE {
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let place_is_needed = Arc::new(Notify::new());
        let number = Some(self.add_idle(&place_is_needed));
        let state = Mutex::new(State { phase: Phase::Head, knows_interim: false, number });
        Some(Arc::new(Connection { connections: Arc::clone(self), is_reserve, state, place_is_needed }))
    }

    /// Asks the connection that has been idle for longest to close; false if all are busy.
    fn make_place(&self) -> bool {
        let first = self.idle().1.pop_first();
        first.inspect(|(_, place_is_needed)| place_is_needed.notify_one()).is_some()
    }

    fn add_idle(&self, place_is_needed: &Arc<Notify>) -> u64 {
        let mut idle = self.idle();
        idle.0 += 1;
        let number = idle.0;
        idle.1.insert(number, Arc::clone(place_is_needed));
        number
    }

    fn remove_idle(&self, number: u64) {
        self.idle().1.remove(&number);
    }

    fn idle(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Notify>>)> {
        // Nothing panics while it is locked.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// True if only what needs no computing is answered.
    pub(crate) fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// Waits until another connection needs the place.
    pub(crate) async fn place_is_needed(&self) {
        self.place_is_needed.notified().await;
    }

    /// Records that the first bytes of a request have arrived; true if the connection was idle.
    pub(crate) fn head_begins(&self) -> bool {
        let mut state = self.state();
        let was_idle = state.phase == Phase::Idle;
        if was_idle {
            state.phase = Phase::Head;
        }
        was_idle
    }

    /// Records that the head of a request is complete.
    pub(crate) fn body_begins(&self, knows_interim: bool) {
        let mut state = self.state();
        state.phase = Phase::Body;
        state.knows_interim = knows_interim;
    }

    /// Records that the request is complete.
    pub(crate) fn request_is_complete(&self) {
        let mut state = self.state();
        state.phase = Phase::Answer;
        if let Some(number) = state.number.take() {
            self.connections.remove_idle(number);
        }
    }

    /// Records that the answer is ready to be sent.
    pub(crate) fn reply_begins(&self) {
        self.state().phase = Phase::Reply;
    }

    /// Records that all of the answer has been given to the connection.
    pub(crate) fn reply_is_complete(&self) {
        self.state().phase = Phase::Sent;
    }

    /// Records that everything given to the connection has been sent; true if that ends an answer.
    pub(crate) fn is_flushed(&self) -> bool {
        let mut state = self.state();
        if state.phase != Phase::Sent {
            return false;
        }
        state.phase = Phase::Idle;
        // One whose body was not read is still among the idle ones.
        if state.number.is_none() {
            state.number = Some(self.connections.add_idle(&self.place_is_needed));
        }
        true
    }

    /// The phase.
    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// True if an interim response can be sent now.
    pub(crate) fn takes_interim(&self) -> bool {
        let state = self.state();
        state.phase == Phase::Answer && state.knows_interim
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let number = self.state().number.take();
        if let Some(number) = number {
            self.connections.remove_idle(number);
        }
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connections_give_way_and_a_reserve_is_kept() {
        let connections = Connections::new(2);
        let [first, second] = [(); 2].map(|()| connections.admit().unwrap());
        first.request_is_complete();
        let third = connections.admit().unwrap();
        assert!(!third.is_reserve(), "the second, which is idle, gives way to it");
        drop(second);
        third.request_is_complete();
        let reserve: Vec<_> =
            std::iter::from_fn(|| connections.admit().inspect(|it| it.request_is_complete())).collect();
        assert_eq!((reserve.len(), reserve.iter().all(|it| it.is_reserve())), (RESERVE, true));
        drop((first, third, reserve));
        assert_eq!((connections.open(), connections.idle().1.len()), (0, 0));
    }
}
