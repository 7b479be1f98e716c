//! Faults under load: clients that disconnect, SIGTERM and SIGKILL.

use super::traffic::Traffic;
use crate::serving::http::Connection;
use crate::serving::load::{End, Sample};
use crate::serving::process::Server;
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Clients of the load during which the server ends.
const CLIENTS: usize = 24;
/// Time from the start of the load to the signal.
const AFTER: Duration = Duration::from_secs(2);
/// Time after which a request that was sent has reached the server.
const ARRIVED: Duration = Duration::from_millis(50);
/// Longest time until the server has ended.
const DRAINED: Duration = Duration::from_secs(40);

/// Runs clients that send a request and disconnect at once, a few every second.
pub(crate) fn vanish(traffic: &Traffic, address: SocketAddr, over: &AtomicBool) {
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut connection) = Connection::open(address) {
            // A request that is not sent completely is a valid case too.
            let _ = connection.send(&traffic.requests[number % traffic.requests.len()]);
            number += 1;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Sends SIGTERM under load: all accepted requests are answered, and the process ends by itself.
pub(crate) fn ended_under_load(traffic: &Traffic, mut server: Server) -> Result<()> {
    let (address, stop) = (server.address, AtomicBool::new(false));
    let (samples, signalled, ended) = std::thread::scope(|scope| {
        let begin = Instant::now();
        let load = || traffic.with_load(address, |load| load.closed(CLIENTS, DRAINED, &stop));
        let samples = scope.spawn(load);
        std::thread::sleep(AFTER);
        let signalled = begin.elapsed();
        let ended = server.signal("TERM").and_then(|()| server_end(&mut server));
        stop.store(true, Ordering::Relaxed);
        (samples.join().expect("the load does not panic"), signalled, ended)
    });
    let (status, took) = ended?;
    ensure!(status, "the server did not end well after SIGTERM; {}", server.last_words());
    let accepted = || samples.iter().filter(|sample| sample.sent + ARRIVED < signalled);
    let in_flight = accepted().filter(|sample| sample.done > signalled).count();
    if let Some(lost) = accepted().find(|sample| is_bad(sample)) {
        bail!(
            "SIGTERM under load: a request sent at {:?}, before the signal at {signalled:?}: {:?}",
            lost.sent,
            lost.end
        );
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

/// Returns true for any outcome except a right response and a refusal with 429.
fn is_bad(sample: &Sample) -> bool {
    !matches!(sample.end, End::Right | End::Status(429))
}

/// Sends SIGKILL under load and starts the server again.
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
    traffic.check_first(again.address)?;
    println!("SIGKILL under load: started again, ready after {:.2} s, with right answers", again.start.as_secs_f64());
    Ok(())
}
