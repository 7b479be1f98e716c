//! Admission to the queue, decided once for a whole request, by its tokens, before any of its texts
//! waits. Bulk leaves a quarter of the room to interactive requests, so that a job of millions of
//! texts never turns a query away.

use crate::class::Class;
use crate::request_error::{ErrorKind, RequestError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Smallest batch that the speed is measured on.
const MEASURED_TOKENS: usize = 512;

/// The room for tokens, and how much of it is taken.
pub(crate) struct Admission {
    limit: usize,
    patience: Duration,
    held: Mutex<Held>,
}

/// Requests and tokens that wait or are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Held {
    /// Room taken by interactive requests and by bulk, in tokens.
    pub(crate) tokens: [usize; 2],
    /// Tokens beyond the room of a class, of requests that are larger than it.
    pub(crate) beyond: usize,
    /// Requests of both classes.
    pub(crate) requests: usize,
    /// Tokens per second that were computed recently; 0 before the first batch.
    pub(crate) speed: f64,
}

/// Room of one request, given back when it is dropped.
pub(crate) struct Permit {
    admission: Arc<Admission>,
    class: Class,
    room: usize,
    beyond: usize,
}

impl Admission {
    /// Creates room for `limit` tokens, none of which waits longer than `patience`.
    pub(crate) fn new(limit: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self { limit, patience, held: Mutex::default() })
    }

    /// Returns what is taken now.
    pub(crate) fn held(&self) -> Held {
        *self.lock()
    }

    /// The room of a class, in tokens.
    fn most(&self, class: Class) -> usize {
        match class {
            Class::Interactive => self.limit,
            Class::Bulk => (self.limit - self.limit / 4).max(1),
        }
    }

    /// Admits a whole request. A request that is larger than the room of its class takes all of it:
    /// it is admitted when nothing else is there.
    ///
    /// # Errors
    /// If there is no room now, or computing the request would take longer than an answer may.
    pub(crate) fn admit(self: &Arc<Self>, class: Class, tokens: usize) -> Result<Permit, RequestError> {
        let mut held = self.lock();
        self.too_long(&held, tokens).map_or(Ok(()), Err)?;
        self.refusal(&held, class, tokens).map_or(Ok(()), Err)?;
        let room = tokens.min(self.most(class));
        let beyond = tokens - room;
        held.tokens[class as usize] += room;
        held.beyond += beyond;
        held.requests += 1;
        Ok(Permit { admission: Arc::clone(self), class, room, beyond })
    }

    /// Returns an error if a request cannot be computed in time even on an idle server; repeating
    /// it is useless.
    fn too_long(&self, held: &Held, tokens: usize) -> Option<RequestError> {
        let patience = self.patience.as_secs_f64();
        let seconds = tokens as f64 / held.speed;
        if held.speed == 0.0 || seconds <= patience {
            return None;
        }
        let message = format!(
            "the request has {tokens} tokens, which take about {seconds:.0} s at {:.0} tokens a second, and an answer is \
             given up after {patience} s; send it in parts, or start the server with a longer --deadline",
            held.speed
        );
        Some(RequestError::new(ErrorKind::TooLarge, message))
    }

    /// Checks that a request of one token would be admitted, before texts are tokenised.
    ///
    /// # Errors
    /// If there is no room now.
    pub(crate) fn expect_room(&self, class: Class) -> Result<(), RequestError> {
        self.refusal(&self.lock(), class, 1).map_or(Ok(()), Err)
    }

    fn refusal(&self, held: &Held, class: Class, tokens: usize) -> Option<RequestError> {
        let [interactive, bulk] = held.tokens;
        let room = tokens.min(self.most(class));
        let (before, fits) = match class {
            // Interactive requests go first, except in every fourth batch.
            Class::Interactive => (interactive + interactive / 3, interactive + bulk + room <= self.limit),
            Class::Bulk => {
                let fits = bulk + room <= self.most(Class::Bulk) && interactive + bulk + room <= self.limit;
                (interactive + bulk + held.beyond, fits)
            }
        };
        let seconds_of = |tokens: usize| if held.speed > 0.0 { tokens as f64 / held.speed } else { 0.0 };
        let seconds = seconds_of(before);
        if fits && (before == 0 || seconds_of(before + tokens) <= self.patience.as_secs_f64()) {
            return None;
        }
        let message = format!("{} tokens are waiting already; try again later", interactive + bulk);
        Some(RequestError::overloaded(message, (seconds.ceil() as u64).clamp(1, 60)))
    }

    /// Records the time of a batch. Small batches are slow per token and say little about a full
    /// queue.
    pub(crate) fn computed(&self, tokens: usize, time: Duration) {
        if tokens < MEASURED_TOKENS {
            return;
        }
        let speed = tokens as f64 / time.as_secs_f64().max(1e-6);
        let mut held = self.lock();
        held.speed = if held.speed == 0.0 { speed } else { held.speed + 0.2 * (speed - held.speed) };
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is partly changed.
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.admission.lock();
        held.tokens[self.class as usize] -= self.room;
        held.beyond -= self.beyond;
        held.requests -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(limit: usize) -> Arc<Admission> {
        Admission::new(limit, Duration::from_secs(10))
    }

    fn kind(refused: Result<Permit, RequestError>) -> ErrorKind {
        refused.map(|_| ()).unwrap_err().kind
    }

    #[test]
    fn a_request_is_admitted_as_a_whole_and_gives_back_its_room() {
        let room = room(100);
        let first = room.admit(Class::Interactive, 60).unwrap();
        assert_eq!(kind(room.admit(Class::Interactive, 41)), ErrorKind::Overloaded);
        let second = room.admit(Class::Interactive, 40).unwrap();
        assert_eq!((room.held().tokens, room.held().requests), ([100, 0], 2));
        assert_eq!(kind(room.admit(Class::Interactive, 1)), ErrorKind::Overloaded);
        assert!(room.expect_room(Class::Interactive).is_err());
        drop((first, second));
        assert_eq!((room.held().tokens, room.held().requests), ([0, 0], 0));
    }

    #[test]
    fn bulk_leaves_room_to_interactive_requests() {
        let room = room(100);
        let _bulk = room.admit(Class::Bulk, 75).unwrap();
        assert_eq!(kind(room.admit(Class::Bulk, 1)), ErrorKind::Overloaded);
        room.admit(Class::Interactive, 25).unwrap();
    }

    #[test]
    fn a_request_larger_than_the_room_is_admitted_when_nothing_else_is_there() {
        let room = room(100);
        let large = room.admit(Class::Bulk, 1000).unwrap();
        assert_eq!((room.held().tokens, room.held().beyond), ([0, 75], 925));
        assert_eq!(kind(room.admit(Class::Bulk, 1)), ErrorKind::Overloaded);
        let query = room.admit(Class::Interactive, 25).expect("a quarter of the room is left for queries");
        assert_eq!(kind(room.admit(Class::Interactive, 1000)), ErrorKind::Overloaded);
        drop((large, query));
        let large = room.admit(Class::Interactive, 1000).unwrap();
        assert_eq!(kind(room.admit(Class::Bulk, 1000)), ErrorKind::Overloaded);
        drop(large);
        assert_eq!(room.held(), Held::default());
    }

    #[test]
    fn a_request_that_takes_longer_than_the_deadline_is_too_large() {
        let room = room(1_000_000);
        room.admit(Class::Bulk, 20_000).expect("the speed is unknown");
        room.computed(1024, Duration::from_secs(1));
        let refused = room.admit(Class::Bulk, 20_000).map(|_| ()).unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (ErrorKind::TooLarge, None));
        assert!(refused.message.contains("about 20 s at 1024 tokens a second"), "{}", refused.message);
        let held = room.admit(Class::Bulk, 6_000).unwrap();
        assert_eq!(kind(room.admit(Class::Bulk, 6_000)), ErrorKind::Overloaded, "both together take too long");
        drop(held);
        room.admit(Class::Bulk, 10_000).unwrap();
    }

    #[test]
    fn a_request_that_would_be_late_is_refused_with_the_time_to_retry() {
        let room = room(1_000_000);
        room.computed(1024, Duration::from_secs(1));
        let _held = room.admit(Class::Bulk, 10_000).unwrap();
        let refused = room.admit(Class::Bulk, 1000).map(|_| ()).unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (ErrorKind::Overloaded, Some(10)));
        room.admit(Class::Interactive, 1).expect("interactive requests pass bulk");
    }
}
