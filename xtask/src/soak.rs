//! `cargo xtask soak`: a server at twice its capacity. No answer may be lost, swapped or wrong,
//! memory stays flat, and what exceeds the capacity is refused at once; then the server ends under
//! load, is killed under load, and starts again.

mod faults;
mod traffic;

use crate::serving::http;
use crate::serving::load::{End, Sample, Summary, arrivals};
use crate::serving::process::{self, Server};
use anyhow::{Context, Result, bail, ensure};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use traffic::{Traffic, WORK};

const RELEASE: &str = "target/release/maana";
const MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";
/// Limit of waiting tokens: low, so that twice the capacity is refused often.
const QUEUED_TOKENS: &str = "6000";
/// Enough for all waiting requests and for those that are refused meanwhile.
const CONNECTIONS: usize = 128;

/// Requirements on a server.
#[derive(Clone, Copy)]
struct Bounds {
    /// Largest resident memory after the first tenth of the time, as a multiple of the largest in
    /// the first tenth.
    flat: f64,
    /// 99th percentile of the time until a refusal.
    refused_within_ms: f64,
}

/// For an otherwise idle machine.
const ALONE: Bounds = Bounds { flat: 1.05, refused_within_ms: 10.0 };
/// For a shared machine and the program of the tests.
const SHARED: Bounds = Bounds { flat: 1.25, refused_within_ms: 500.0 };

/// Options of the command line.
struct Options {
    time: Duration,
    url: Option<String>,
    maana: PathBuf,
    model: String,
    bounds: Bounds,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let (maana, model) = (PathBuf::from(RELEASE), MODEL.to_owned());
        let mut options = Self { time: Duration::from_secs(600), url: None, maana, model, bounds: ALONE };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            if flag == "--shared" {
                options.bounds = SHARED;
                continue;
            }
            let value =
                rest.next().with_context(|| format!("{flag}: not a flag, or without a value; see cargo xtask"))?;
            match flag.as_str() {
                "--seconds" => {
                    let seconds = value.parse().ok().filter(|&seconds| seconds >= 5);
                    options.time =
                        Duration::from_secs(seconds.with_context(|| format!("{flag} {value}: not 5 or more"))?);
                }
                "--url" => options.url = Some(value.clone()),
                "--maana" => options.maana = value.into(),
                "--model" => options.model = value.clone(),
                _ => bail!("{flag}: not known; there are --seconds, --url, --maana, --model and --shared"),
            }
        }
        Ok(options)
    }
}

/// Runs the soak with the options of the command line.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    std::fs::create_dir_all(WORK)?;
    if let Some(url) = &options.url {
        let address = address(url)?;
        let traffic = Traffic::of_server(address)?;
        return under_load(&traffic, address, None, &options);
    }
    if options.maana == Path::new(RELEASE) {
        crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    }
    let traffic = Traffic::encoded(&options.maana, &options.model)?;
    let mut server = start(&options)?;
    println!("{}: ready after {:.2} s", options.model, server.start.as_secs_f64());
    under_load(&traffic, server.address, Some(&mut server), &options)?;
    faults::ended_under_load(&traffic, server)?;
    faults::killed_under_load(&traffic, || start(&options))
}

/// Runs it for twenty seconds with the program of the tests; without the model it is skipped with a
/// message.
pub(crate) fn short() -> Result<()> {
    let maana = "target/debug/maana";
    crate::command::cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    if !Command::new(maana).args(["info", MODEL]).status()?.success() {
        println!("skipped: the soak, because {MODEL} is not available here (see the error above)");
        return Ok(());
    }
    run(&["--shared", "--seconds", "20", "--maana", maana].map(str::to_owned))
}

/// Starts a server of the options' model that refuses early.
fn start(options: &Options) -> Result<Server> {
    let port = process::free_port()?;
    let mut command = Command::new(&options.maana);
    command.args(["serve", &options.model, "--port", &port.to_string(), "--max-tokens-queued", QUEUED_TOKENS]);
    command.args(["--drain", "30"]);
    Server::start("maana serve", &mut command, port, &Path::new(WORK).join("log.txt"), &http::get("/health/ready"))
}

fn address(url: &str) -> Result<SocketAddr> {
    let host = url.strip_prefix("http://").with_context(|| format!("--url {url}: expected http://HOST:PORT"))?;
    let mut addresses = host.trim_end_matches('/').to_socket_addrs().with_context(|| format!("--url {url}"))?;
    addresses.next().with_context(|| format!("--url {url}: no such host"))
}

fn under_load(traffic: &Traffic, address: SocketAddr, server: Option<&mut Server>, options: &Options) -> Result<()> {
    let Options { time, bounds, .. } = *options;
    let before = (time / 10).max(Duration::from_secs(4));
    let capacity = capacity(traffic, address, before)?;
    // The largest batches come before memory is watched.
    traffic.with_load(address, |load| load.closed(CONNECTIONS, before, &AtomicBool::new(false)));
    println!("capacity: {capacity:.1} requests/s; now twice as many for {} s", time.as_secs());
    let moments = arrivals(2.0 * capacity, time, 1);
    let over = AtomicBool::new(false);
    let (samples, memory) = std::thread::scope(|scope| {
        let memory = scope.spawn(|| server.as_deref().map(|server| watched(server, &over)));
        scope.spawn(|| faults::vanish(traffic, address, &over));
        let samples = traffic.with_load(address, |load| load.open(&moments, CONNECTIONS));
        over.store(true, Ordering::Relaxed);
        (samples, memory.join().expect("watching memory does not panic"))
    });
    check_samples(&samples, time, bounds)?;
    match (server, memory) {
        (Some(server), Some(memory)) => {
            ensure!(server.runs(), "the server has ended; {}", server.last_words());
            is_flat(&memory, time, bounds)
        }
        _ => {
            println!("memory: not measured, because the server was not started here");
            Ok(())
        }
    }
}

/// Measures the most right answers per second in a closed loop of a few clients, none refused.
fn capacity(traffic: &Traffic, address: SocketAddr, time: Duration) -> Result<f64> {
    let samples = traffic.with_load(address, |load| load.closed(8, time, &AtomicBool::new(false)));
    let summary = Summary::of(&samples, Duration::ZERO..time);
    ensure!(summary.wrong.is_empty(), "{} wrong answers, the first: {}", summary.wrong.len(), summary.wrong[0]);
    let right: Vec<u64> =
        samples.iter().filter(|sample| sample.end == End::Right).map(|sample| sample.done.as_secs()).collect();
    let in_second = |second| right.iter().filter(|done| **done == second).count();
    let most = (0..time.as_secs()).map(in_second).max().unwrap_or_default();
    ensure!(most > 0, "no answer in {} s; {:?}", time.as_secs(), summary.statuses);
    Ok(most as f64)
}

fn check_samples(samples: &[Sample], time: Duration, bounds: Bounds) -> Result<()> {
    let summary = Summary::of(samples, Duration::ZERO..time);
    let count = |end: fn(&End) -> bool| samples.iter().filter(|sample| end(&sample.end)).count();
    let (right, refused) = (count(|end| *end == End::Right), count(|end| *end == End::Status(429)));
    let within = summary.refused.quantile_ms(0.99);
    println!(
        "{} requests: {right} right, {refused} refused (429) within {:.1} ms (99 of 100; half within {:.1} ms), others {:?}; \
         right answers after {:.0} ms (half), {:.0} ms (99 of 100)",
        samples.len(),
        within.unwrap_or_default(),
        summary.refused.quantile_ms(0.5).unwrap_or_default(),
        summary.statuses.iter().filter(|(status, _)| **status != 429).collect::<Vec<_>>(),
        summary.right.quantile_ms(0.5).unwrap_or_default(),
        summary.right.quantile_ms(0.99).unwrap_or_default(),
    );
    ensure!(summary.wrong.is_empty(), "{} wrong answers, the first: {}", summary.wrong.len(), summary.wrong[0]);
    ensure!(summary.lost.is_empty(), "{} lost answers, the first: {}", summary.lost.len(), summary.lost[0]);
    let other = summary.statuses.iter().find(|(status, _)| **status != 429);
    ensure!(other.is_none(), "answers other than 200 and 429: {:?}", summary.statuses);
    ensure!(right > 0 && refused > 0, "twice the capacity was neither answered in part nor refused in part");
    let within = within.context("nothing was refused")?;
    let most = bounds.refused_within_ms;
    ensure!(within < most, "99 of 100 refusals came within {within:.1} ms, not {most} ms");
    Ok(())
}

/// Records resident bytes and their times until `over`.
fn watched(server: &Server, over: &AtomicBool) -> Vec<(Duration, u64)> {
    let begin = Instant::now();
    let mut seen = Vec::new();
    while !over.load(Ordering::Relaxed) {
        seen.extend(server.resident_bytes().map(|bytes| (begin.elapsed(), bytes)));
        std::thread::sleep(Duration::from_millis(100));
    }
    seen
}

fn is_flat(memory: &[(Duration, u64)], time: Duration, bounds: Bounds) -> Result<()> {
    let (first, rest): (Vec<_>, Vec<_>) = memory.iter().partition(|(moment, _)| *moment < time / 10);
    let most = |seen: &[(Duration, u64)]| seen.iter().map(|(_, bytes)| *bytes).max();
    let (before, after) =
        (most(&first).context("memory was not measured")?, most(&rest).context("memory was not measured")?);
    let grown = after as f64 / before as f64;
    println!(
        "memory: {:.1} MB in the first tenth, {:.1} MB after it ({grown:.3}×)",
        before as f64 / 1e6,
        after as f64 / 1e6
    );
    ensure!(
        grown <= bounds.flat,
        "memory has grown by {:.1} %, more than {:.0} %",
        (grown - 1.0) * 100.0,
        (bounds.flat - 1.0) * 100.0
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_flat_or_not() {
        let seen =
            |bytes: [u64; 4]| bytes.iter().enumerate().map(|(s, b)| (Duration::from_secs(s as u64 * 6), *b)).collect();
        let memory: Vec<(Duration, u64)> = seen([1000, 1040, 1049, 900]);
        is_flat(&memory, Duration::from_secs(60), ALONE).unwrap();
        let grown: Vec<(Duration, u64)> = seen([1000, 1040, 1060, 900]);
        assert!(is_flat(&grown, Duration::from_secs(60), ALONE).unwrap_err().to_string().contains("6.0 %"));
    }

    #[test]
    fn one_lost_or_wrong_answer_fails() {
        let at = Duration::from_millis;
        let sample = |end: End| Sample { due: at(1), sent: at(1), done: at(5), end };
        let mut samples = vec![sample(End::Right), sample(End::Status(429))];
        check_samples(&samples, at(10), ALONE).unwrap();
        for bad in [End::Lost("x".to_owned()), End::Wrong("y".to_owned()), End::Status(500)] {
            samples.push(sample(bad));
            assert!(check_samples(&samples, at(10), ALONE).is_err());
            samples.pop();
        }
    }
}
