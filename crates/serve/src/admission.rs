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
    /// Room that is taken by interactive requests and by bulk, in tokens.
    pub(crate) tokens: [usize; 2],
    /// Tokens beyond the room that a class has: of requests that are larger than it.
    pub(crate) beyond: usize,
    /// Requests of both.
    pub(crate) requests: usize,
    /// Tokens a second that were computed of late, or 0 before there were any.
    pub(crate) speed: f64,
}

/// Room that a request holds until it is dropped.
pub(crate) struct Permit {
    admission: Arc<Admission>,
    class: Class,
    room: usize,
    beyond: usize,
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

    /// The room of a class, in tokens.
    fn most(&self, class: Class) -> usize {
        match class {
            Class::Interactive => self.limit,
            Class::Bulk => (self.limit - self.limit / 4).max(1),
        }
    }

    /// Room for a whole request, or why there is none. A request that is larger than the room of its class takes all of it: it
    /// is admitted when it is alone there.
    pub(crate) fn admit(self: &Arc<Self>, class: Class, tokens: usize) -> Result<Permit, Fault> {
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

    /// Why a request cannot be computed in time even alone, if so: asking again is no help.
    fn too_long(&self, held: &Held, tokens: usize) -> Option<Fault> {
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
        Some(Fault::new(Kind::TooLarge, message))
    }

    /// Whether even a request of one token would be refused: so it is known before texts are tokenised.
    pub(crate) fn full(&self, class: Class) -> Result<(), Fault> {
        self.refusal(&self.lock(), class, 1).map_or(Ok(()), Err)
    }

    fn refusal(&self, held: &Held, class: Class, tokens: usize) -> Option<Fault> {
        let [interactive, bulk] = held.tokens;
        let room = tokens.min(self.most(class));
        let (before, fits) = match class {
            // Bulk lets interactive requests pass, but for every fourth batch.
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
    fn what_is_larger_than_the_room_is_admitted_alone() {
        let room = room(100);
        let large = room.admit(Class::Bulk, 1000).unwrap();
        assert_eq!((room.held().tokens, room.held().beyond), ([0, 75], 925));
        assert_eq!(kind(room.admit(Class::Bulk, 1)), Kind::Overloaded);
        let query = room.admit(Class::Interactive, 25).expect("a quarter of the room is left to queries");
        assert_eq!(kind(room.admit(Class::Interactive, 1000)), Kind::Overloaded);
        drop((large, query));
        let large = room.admit(Class::Interactive, 1000).unwrap();
        assert_eq!(kind(room.admit(Class::Bulk, 1000)), Kind::Overloaded);
        drop(large);
        assert_eq!(room.held(), Held::default());
    }

    #[test]
    fn what_takes_longer_than_an_answer_may_is_told_so_and_not_to_come_again() {
        let room = room(1_000_000);
        room.admit(Class::Bulk, 20_000).expect("nothing is known of the speed");
        room.computed(1024, Duration::from_secs(1));
        let refused = room.admit(Class::Bulk, 20_000).map(|_| ()).unwrap_err();
        let reply = refused.reply(crate::fault::Api::Tei);
        assert_eq!((reply.status, reply.headers), (413, vec![]));
        assert!(refused.message.contains("about 20 s at 1024 tokens a second"), "{}", refused.message);
        let held = room.admit(Class::Bulk, 6_000).unwrap();
        assert_eq!(kind(room.admit(Class::Bulk, 6_000)), Kind::Overloaded, "both together take too long");
        drop(held);
        room.admit(Class::Bulk, 10_000).unwrap();
    }

    #[test]
    fn what_would_come_too_late_is_refused_now_and_told_when_to_come_again() {
        let room = room(1_000_000);
        room.computed(1024, Duration::from_secs(1));
        let _held = room.admit(Class::Bulk, 10_000).unwrap();
        let refused = room.admit(Class::Bulk, 1000).map(|_| ()).unwrap_err();
        let reply = refused.reply(crate::fault::Api::Tei);
        assert_eq!((reply.status, reply.headers), (429, vec![("retry-after", "10".to_owned())]));
        room.admit(Class::Interactive, 1).expect("bulk does not stand in its way");
    }
}
