//! Who may wait: decided once for a whole request, in tokens, before anything of it waits. Bulk leaves a quarter of the room
//! to interactive requests, so that a job of millions of texts never turns a query away.

use crate::fault::{Fault, Kind};
use crate::job::Class;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Tokens of a batch that tells how fast the server is.
const TELLING_TOKENS: usize = 512;

/// The room for tokens, and who holds how much of it.
pub(crate) struct Admission {
    limit: usize,
    patience: Duration,
    held: Mutex<Held>,
}

/// What waits or is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Held {
    /// Tokens of interactive requests and of bulk.
    pub(crate) tokens: [usize; 2],
    /// Requests of both.
    pub(crate) requests: usize,
    /// Tokens a second that were computed of late, or 0 before there were any.
    pub(crate) speed: f64,
}

/// Room that a request holds until it is dropped.
pub(crate) struct Permit {
    admission: Arc<Admission>,
    class: Class,
    tokens: usize,
}

impl Admission {
    /// Room for `limit` tokens, none of which waits longer than `patience`.
    pub(crate) fn new(limit: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self { limit, patience, held: Mutex::default() })
    }

    /// What is held now.
    pub(crate) fn held(&self) -> Held {
        *self.lock()
    }

    /// The most tokens that a request of a class may have.
    pub(crate) fn most(&self, class: Class) -> usize {
        match class {
            Class::Interactive => self.limit,
            Class::Bulk => (self.limit - self.limit / 4).max(1),
        }
    }

    /// Room for a whole request, or why there is none.
    pub(crate) fn admit(self: &Arc<Self>, class: Class, tokens: usize) -> Result<Permit, Fault> {
        let most = self.most(class);
        if tokens > most {
            let message = format!("the request has {tokens} tokens, and {most} may wait at once; send it in parts");
            return Err(Fault::new(Kind::TooLarge, message));
        }
        let mut held = self.lock();
        self.refusal(&held, class, tokens).map_or(Ok(()), Err)?;
        held.tokens[class as usize] += tokens;
        held.requests += 1;
        Ok(Permit { admission: Arc::clone(self), class, tokens })
    }

    /// Whether even a request of one token would be refused: so it is known before texts are tokenised.
    pub(crate) fn full(&self, class: Class) -> Result<(), Fault> {
        self.refusal(&self.lock(), class, 1).map_or(Ok(()), Err)
    }

    fn refusal(&self, held: &Held, class: Class, tokens: usize) -> Option<Fault> {
        let [interactive, bulk] = held.tokens;
        let (before, fits) = match class {
            // Bulk lets interactive requests pass, but for every fourth batch.
            Class::Interactive => (interactive + interactive / 3, interactive + bulk + tokens <= self.limit),
            Class::Bulk => {
                let fits = bulk + tokens <= self.most(Class::Bulk) && interactive + bulk + tokens <= self.limit;
                (interactive + bulk, fits)
            }
        };
        let seconds = if held.speed > 0.0 { before as f64 / held.speed } else { 0.0 };
        if fits && seconds <= self.patience.as_secs_f64() {
            return None;
        }
        let message = format!("{} tokens wait already; ask again later", interactive + bulk);
        Some(Fault::overloaded(message, (seconds.ceil() as u64).clamp(1, 60)))
    }

    /// Learns how fast tokens are computed. Small batches are slow for a token, and say little of what a full queue takes.
    pub(crate) fn computed(&self, tokens: usize, time: Duration) {
        if tokens < TELLING_TOKENS {
            return;
        }
        let speed = tokens as f64 / time.as_secs_f64().max(1e-6);
        let mut held = self.lock();
        held.speed = if held.speed == 0.0 { speed } else { held.speed + 0.2 * (speed - held.speed) };
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held half changed.
        self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.admission.lock();
        held.tokens[self.class as usize] -= self.tokens;
        held.requests -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(limit: usize) -> Arc<Admission> {
        Admission::new(limit, Duration::from_secs(10))
    }

    fn kind(refused: Result<Permit, Fault>) -> Kind {
        refused.map(|_| ()).unwrap_err().kind
    }

    #[test]
    fn a_request_is_admitted_whole_or_not_at_all_and_gives_back_its_room() {
        let room = room(100);
        let first = room.admit(Class::Interactive, 60).unwrap();
        assert_eq!(kind(room.admit(Class::Interactive, 41)), Kind::Overloaded);
        let second = room.admit(Class::Interactive, 40).unwrap();
        assert_eq!((room.held().tokens, room.held().requests), ([100, 0], 2));
        assert_eq!(kind(room.admit(Class::Interactive, 1)), Kind::Overloaded);
        assert!(room.full(Class::Interactive).is_err());
        drop((first, second));
        assert_eq!((room.held().tokens, room.held().requests), ([0, 0], 0));
    }

    #[test]
    fn bulk_leaves_room_to_interactive_requests() {
        let room = room(100);
        let _bulk = room.admit(Class::Bulk, 75).unwrap();
        assert_eq!(kind(room.admit(Class::Bulk, 1)), Kind::Overloaded);
        room.admit(Class::Interactive, 25).unwrap();
    }

    #[test]
    fn what_can_never_be_admitted_is_told_so() {
        assert_eq!(kind(room(100).admit(Class::Interactive, 101)), Kind::TooLarge);
        assert_eq!(kind(room(100).admit(Class::Bulk, 76)), Kind::TooLarge);
    }

    #[test]
    fn what_would_come_too_late_is_refused_now_and_told_when_to_come_again() {
        let room = room(1_000_000);
        room.computed(1024, Duration::from_secs(1));
        let _held = room.admit(Class::Bulk, 20_000).unwrap();
        let refused = room.admit(Class::Bulk, 1).map(|_| ()).unwrap_err();
        let reply = refused.reply(crate::fault::Api::Tei);
        assert_eq!((reply.status, reply.headers), (429, vec![("retry-after", "20".to_owned())]));
        room.admit(Class::Interactive, 1).expect("bulk does not stand in its way");
    }
}
