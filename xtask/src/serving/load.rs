//! Requests in a closed loop (a fixed number of clients, each waiting for its response) and in an
//! open one (a fixed rate). In the open loop latency counts from the time at which the request was
//! due, so that a server that delays its clients cannot hide it.

use super::http::{Connection, Response};
use super::latency::Latencies;
use super::texts::Draws;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Stack of a client; it needs little more than one response.
const STACK: usize = 256 * 1024;
/// Pause of a client whose connection failed.
const PAUSE: Duration = Duration::from_millis(20);

/// Checks the response to the request with this number, for any status.
pub(crate) type Check<'a> = &'a (dyn Fn(usize, &Response) -> Result<(), String> + Sync);

/// Requests, their server, and the check of the responses.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) requests: &'a [Vec<u8>],
    pub(crate) check: Check<'a>,
}

/// Outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// 200, and right.
    Right,
    /// Another status.
    Status(u16),
    /// A response that differs from the expected one.
    Wrong(String),
    /// No complete response.
    Lost(String),
}

/// One request; times count from the start of the load.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) due: Duration,
    pub(crate) sent: Duration,
    pub(crate) done: Duration,
    pub(crate) end: End,
}

impl Load<'_> {
    /// Runs `clients`, each of which sends its next request after its last response, until `time`
    /// is over or `stop` is set; each then waits for its last response.
    pub(crate) fn closed(&self, clients: usize, time: Duration, stop: &AtomicBool) -> Vec<Sample> {
        let next = AtomicUsize::new(0);
        self.with_clients(clients, &|client: &mut Client| {
            while client.now() < time && !stop.load(Ordering::Relaxed) {
                let due = client.now();
                client.ask(next.fetch_add(1, Ordering::Relaxed), due);
            }
        })
    }

    /// Sends requests at `arrivals` over at most `connections` connections.
    pub(crate) fn open(&self, arrivals: &[Duration], connections: usize) -> Vec<Sample> {
        let next = AtomicUsize::new(0);
        self.with_clients(connections, &|client: &mut Client| {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(&due) = arrivals.get(number) else { break };
                std::thread::sleep(due.saturating_sub(client.now()));
                client.ask(number, due);
            }
        })
    }

    fn with_clients(&self, clients: usize, work: &(dyn Fn(&mut Client) + Sync)) -> Vec<Sample> {
        let all = Mutex::new(Vec::new());
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..clients {
                let run = || {
                    let mut client = Client { load: *self, begin, connection: None, samples: Vec::new() };
                    work(&mut client);
                    all.lock().expect("no client panics with the lock").append(&mut client.samples);
                };
                let thread = std::thread::Builder::new().stack_size(STACK);
                thread.spawn_scoped(scope, run).expect("the system starts a few hundred threads");
            }
        });
        all.into_inner().expect("no client panics with the lock")
    }
}

struct Client<'a> {
    load: Load<'a>,
    begin: Instant,
    connection: Option<Connection>,
    samples: Vec<Sample>,
}

impl Client<'_> {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn ask(&mut self, number: usize, due: Duration) {
        let sent = self.now();
        let end = self.exchange(number % self.load.requests.len());
        let done = self.now();
        if matches!(end, End::Lost(_)) {
            self.connection = None;
            std::thread::sleep(PAUSE);
        }
        self.samples.push(Sample { due, sent, done, end });
    }

    fn exchange(&mut self, number: usize) -> End {
        let connection = match self.connection.take().map_or_else(|| Connection::open(self.load.address), Ok) {
            Ok(connection) => self.connection.insert(connection),
            Err(error) => return End::Lost(format!("no connection: {error}")),
        };
        match connection.exchange(&self.load.requests[number]) {
            Ok(response) => match (self.load.check)(number, &response) {
                Ok(()) if response.status == 200 => End::Right,
                Ok(()) => End::Status(response.status),
                Err(why) => End::Wrong(why),
            },
            Err(error) => End::Lost(error.to_string()),
        }
    }
}

/// Draws the arrival times of independent clients, `per_second` of them on average, with
/// exponentially distributed gaps.
pub(crate) fn arrivals(per_second: f64, time: Duration, seed: u64) -> Vec<Duration> {
    let mut draws = Draws::new(seed);
    let mut now = 0.0;
    std::iter::from_fn(|| {
        now -= (1.0 - draws.share()).ln() / per_second;
        Some(Duration::from_secs_f64(now))
    })
    .take_while(|&moment| moment < time)
    .collect()
}

/// Summary of a time window; requests due before it were warm-up.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Latencies of right responses, from the due time.
    pub(crate) right: Latencies,
    /// Latencies of responses with 429, from the time of sending.
    pub(crate) refused: Latencies,
    /// Right responses per second.
    pub(crate) per_second: f64,
    /// Responses by status, except 200.
    pub(crate) statuses: BTreeMap<u16, usize>,
    pub(crate) wrong: Vec<String>,
    pub(crate) lost: Vec<String>,
}

impl Summary {
    pub(crate) fn of(samples: &[Sample], window: Range<Duration>) -> Self {
        let inside: Vec<&Sample> = samples.iter().filter(|sample| window.contains(&sample.due)).collect();
        let latencies = |end: &End, from: fn(&Sample) -> Duration| {
            let chosen = inside.iter().filter(|sample| sample.end == *end);
            Latencies::new(chosen.map(|sample| sample.done.saturating_sub(from(sample))).collect())
        };
        let mut statuses = BTreeMap::new();
        let (mut wrong, mut lost) = (Vec::new(), Vec::new());
        for sample in &inside {
            match &sample.end {
                End::Right => {}
                End::Status(status) => *statuses.entry(*status).or_default() += 1,
                End::Wrong(why) => wrong.push(why.clone()),
                End::Lost(why) => lost.push(why.clone()),
            }
        }
        let finished =
            samples.iter().filter(|sample| sample.end == End::Right && window.contains(&sample.done)).count();
        Self {
            right: latencies(&End::Right, |sample| sample.due),
            refused: latencies(&End::Status(429), |sample| sample.sent),
            per_second: finished as f64 / (window.end - window.start).as_secs_f64(),
            statuses,
            wrong,
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// Answers requests in the order in which they come, each after 20 ms: one at a time.
    fn slow_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, requests) = std::sync::mpsc::channel::<TcpStream>();
        std::thread::spawn(move || {
            for mut stream in requests {
                std::thread::sleep(Duration::from_millis(20));
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            }
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, asked) = (stream.unwrap(), asked.clone());
                std::thread::spawn(move || {
                    while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                        asked.send(stream.try_clone().unwrap()).unwrap();
                    }
                });
            }
        });
        address
    }

    fn run(load: impl Fn(Load) -> Vec<Sample>) -> Vec<Sample> {
        let requests = vec![super::super::http::get("/"); 3];
        let check = |_: usize, response: &Response| (response.body == b"ok").then_some(()).ok_or("not ok".to_owned());
        load(Load { address: slow_server(), requests: &requests, check: &check })
    }

    #[test]
    fn the_closed_loop_sends_after_answers() {
        let samples = run(|load| load.closed(2, Duration::from_millis(400), &AtomicBool::new(false)));
        let summary = Summary::of(&samples, Duration::from_millis(100)..Duration::from_millis(400));
        assert!(summary.wrong.is_empty() && summary.lost.is_empty(), "{summary:?}");
        assert!((20.0..51.0).contains(&summary.per_second), "one in 20 ms at the best: {}", summary.per_second);
        assert!(summary.right.quantile_ms(0.5).unwrap() > 30.0, "two clients wait for each other");
    }

    #[test]
    fn the_open_loop_counts_from_when_requests_were_due() {
        let arrivals = vec![Duration::ZERO; 10];
        let samples = run(|load| load.open(&arrivals, 1));
        let summary = Summary::of(&samples, Duration::ZERO..Duration::from_secs(1));
        assert_eq!(summary.right.count(), 10);
        assert!(summary.right.quantile_ms(1.0).unwrap() >= 200.0, "the last has waited for nine others");
        assert!(samples.iter().all(|sample| sample.done - sample.sent < Duration::from_millis(150)));
    }

    #[test]
    fn arrivals_come_as_often_as_asked() {
        let moments = arrivals(1000.0, Duration::from_secs(10), 3);
        assert!((9500..10500).contains(&moments.len()), "{}", moments.len());
        assert!(moments.is_sorted());
    }
}
