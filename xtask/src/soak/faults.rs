//! What the world does to a server: clients that go away, SIGTERM and SIGKILL in the middle of everything.

use super::answers;
use super::traffic::Traffic;
use crate::serving::http::Connection;
use crate::serving::load::{End, Sample};
use crate::serving::process::Server;
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Clients of the load under which the server ends.
const CLIENTS: usize = 24;
/// Into the load.
const AFTER: Duration = Duration::from_secs(2);
/// A request that was sent so long before the signal was with the server by then.
const ARRIVED: Duration = Duration::from_millis(50);
/// A server drains for half a minute at most.
const DRAINED: Duration = Duration::from_secs(40);

/// Clients that send a request and go away at once, a few every second.
pub(crate) fn vanish(traffic: &Traffic, address: SocketAddr, over: &AtomicBool) {
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut connection) = Connection::open(address) {
            // Whether the request went out whole is of no interest: nobody waits for its answer.
            let _ = connection.send(&traffic.requests[number % traffic.requests.len()]);
            number += 1;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// SIGTERM under load: whatever was accepted is answered, and the process ends by itself.
pub(crate) fn ended_under_load(traffic: &Traffic, mut server: Server) -> Result<()> {
    let (address, stop) = (server.address, AtomicBool::new(false));
    let (samples, told, ended) = std::thread::scope(|scope| {
        let begin = Instant::now();
        let load = || traffic.with_load(address, |load| load.closed(CLIENTS, DRAINED, &stop));
        let samples = scope.spawn(load);
        std::thread::sleep(AFTER);
        let told = begin.elapsed();
        let ended = server.signal("TERM").and_then(|()| server_end(&mut server));
        stop.store(true, Ordering::Relaxed);
        (samples.join().expect("the load does not panic"), told, ended)
    });
    let (status, took) = ended?;
    ensure!(status, "the server did not end well after SIGTERM; {}", server.last_words());
    let accepted = || samples.iter().filter(|sample| sample.sent + ARRIVED < told);
    let in_flight = accepted().filter(|sample| sample.done > told).count();
    if let Some(lost) = accepted().find(|sample| is_bad(sample)) {
        bail!("SIGTERM under load: a request sent at {:?}, before the signal at {told:?}: {:?}", lost.sent, lost.end);
    }
    ensure!(in_flight > 0, "nothing was in flight when SIGTERM came");
    println!(
        "SIGTERM under load: {} requests before it, {in_flight} of them in flight, none lost; ended after {:.2} s",
        accepted().count(),
        took.as_secs_f64()
    );
    Ok(())
}

fn server_end(server: &mut Server) -> Result<(bool, Duration)> {
    let begin = Instant::now();
    let status = server.wait(DRAINED)?;
    Ok((status.success(), begin.elapsed()))
}

/// Neither a right answer nor one that says that there was no room.
fn is_bad(sample: &Sample) -> bool {
    !matches!(sample.end, End::Right | End::Status(429))
}

/// SIGKILL under load, and a new server that answers as if nothing had been.
pub(crate) fn killed_under_load(traffic: &Traffic, start: impl Fn() -> Result<Server>) -> Result<()> {
    let mut server = start().context("a first start")?;
    let (address, stop) = (server.address, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let load = || traffic.with_load(address, |load| load.closed(CLIENTS, DRAINED, &stop));
        let samples = scope.spawn(load);
        std::thread::sleep(AFTER);
        let killed = server.kill();
        stop.store(true, Ordering::Relaxed);
        let samples = samples.join().expect("the load does not panic");
        let wrong = samples.iter().find(|sample| matches!(sample.end, End::Wrong(_)));
        match wrong {
            Some(sample) => bail!("SIGKILL under load: {:?}", sample.end),
            None => killed,
        }
    })?;
    let again = start().context("a start after SIGKILL")?;
    answers(traffic, again.address)?;
    println!("SIGKILL under load: started again, ready after {:.2} s, answers rightly", again.start.as_secs_f64());
    Ok(())
}
