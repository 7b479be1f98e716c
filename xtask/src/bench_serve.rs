//! `cargo xtask bench-serve`: compares `maana serve` with other servers on this machine, each in
//! its best honest setting.
//!
//! All servers of a model run and are warm; servers that are not measured are stopped with SIGSTOP.
//! Rounds alternate, A B C ours, A B C ours. Every answer is compared with the embedding of its
//! text.

mod chart;
mod report;
mod results;
mod workshop;

use crate::bench_peers::machine;
use crate::serving::embeddings;
use crate::serving::http::{self, Connection, Response};
use crate::serving::load::{Load, Summary, arrivals};
use crate::serving::process::{self, Server};
use crate::serving::texts::Lengths;
use anyhow::{Context, Result, bail};
use report::{Round, Started, Table};
use results::Results;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use workshop::{ENGINES, Model, Setting, Work};

/// Options of the command line.
struct Options {
    models: Vec<String>,
    engines: Vec<String>,
    clients: Vec<usize>,
    rounds: usize,
    time: Duration,
    threads: usize,
    quick: bool,
}

const MODELS: [&str; 2] = ["minilm", "bge-base"];

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let quick = arguments.iter().any(|flag| flag == "--quick");
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut options = Self {
            models: owned(if quick { &MODELS[..1] } else { &MODELS }),
            engines: owned(&ENGINES),
            clients: if quick { vec![1, 8] } else { vec![1, 8, 64, 512] },
            rounds: if quick { 1 } else { 3 },
            time: Duration::from_secs(if quick { 2 } else { 10 }),
            threads: std::thread::available_parallelism()?.get(),
            quick,
        };
        let mut rest = arguments.iter().filter(|flag| *flag != "--quick");
        while let Some(flag) = rest.next() {
            let value = rest.next().with_context(|| format!("{flag}: unknown, or without a value; see cargo xtask"))?;
            let count = || count(flag, value);
            match flag.as_str() {
                "--only" => options.models = names(flag, value, &MODELS)?,
                "--engines" => options.engines = names(flag, value, &ENGINES)?,
                "--clients" => {
                    options.clients = value.split(',').map(|word| self::count(flag, word)).collect::<Result<_>>()?
                }
                "--rounds" => options.rounds = count()?,
                "--seconds" => options.time = Duration::from_secs(count()? as u64),
                "--threads" => options.threads = count()?,
                _ => bail!(
                    "{flag}: unknown; use --only, --engines, --clients, --rounds, --seconds, --threads or --quick"
                ),
            }
        }
        Ok(options)
    }
}

fn count(flag: &str, value: &str) -> Result<usize> {
    value.parse().ok().filter(|&count| count > 0).with_context(|| format!("{flag} {value}: not a count"))
}

fn names(flag: &str, value: &str, known: &[&str]) -> Result<Vec<String>> {
    let unknown = value.split(',').find(|word| !known.contains(word));
    match unknown {
        Some(word) => bail!("{flag} {word}: unknown; use {}", known.join(", ")),
        None => Ok(value.split(',').map(str::to_owned).collect()),
    }
}

/// Runs the requested measurements, and adds them to earlier results of the same machine.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    crate::command::cargo(&["build", "--release", "-p", "maana-cli"])?;
    let folder = Path::new(if options.quick { "target/serve-peers" } else { "bench" });
    let models = workshop::models(&options.models)?;
    let mut results = Results::open(folder)?;
    machine::warn_if_busy();
    for model in models {
        let table = measure(&model, &options)?;
        println!("{}", table.markdown());
        results.put(table);
        results.write(folder)?;
    }
    println!("{}: written", folder.join("RESULTS.md").display());
    Ok(())
}

/// A running server.
struct Up {
    setting: Setting,
    server: Server,
}

fn measure(model: &Model, options: &Options) -> Result<Table> {
    let settings = workshop::settings(model, &options.engines, options.threads)?;
    let kinds = [Lengths::Short, Lengths::Mixed].map(|lengths| workshop::work(model, lengths, &settings));
    let kinds: Vec<Work> = kinds.into_iter().collect::<Result<_>>()?;
    println!("\n— {}, {} rounds of {} s", model.name, options.rounds, options.time.as_secs());
    let load_before = machine::load();
    let mut table =
        Table::new(model.name, (machine::date()?, machine::commit()?, load_before), options.rounds, options.threads);
    let mut up = Vec::new();
    for setting in settings {
        let (server, started) = start(model, &setting, &kinds[0], options.rounds)?;
        server.signal("STOP")?;
        table.started.push(started);
        up.push(Up { setting, server });
    }
    for round in 1..=options.rounds {
        for work in &kinds {
            for &clients in &options.clients {
                take_turns(&mut up, |up| {
                    let (name, time) = (cell_name(work, clients), options.time);
                    table.put(
                        work.lengths.name(),
                        clients,
                        &up.setting,
                        closed(up, model, work, clients, time, &name)?,
                    );
                    Ok(())
                })?;
            }
        }
        println!("  round {round} of {} done", options.rounds);
    }
    for work in &kinds {
        // Seven tenths of the better peer's maximum, which all but the slowest server can sustain.
        let Some(rate) = table.best_peer_rate(work.lengths.name()).map(|rate| rate * 0.7) else { continue };
        for round in 0..options.rounds {
            take_turns(&mut up, |up| {
                table.put_open(
                    work.lengths.name(),
                    rate,
                    &up.setting,
                    open(up, model, work, rate, options.time, round)?,
                );
                Ok(())
            })?;
        }
    }
    for (up, started) in up.iter().zip(&mut table.started) {
        started.peak_bytes = up.server.peak_bytes();
        started.resident_bytes = up.server.resident_bytes();
        if up.setting.ours {
            up.server.signal("CONT")?;
            started.idle_share = idle_share(&up.server)?;
        }
    }
    Ok(table)
}

/// Returns the share of time in which texts waited and nothing was computed, from the server's
/// metrics.
fn idle_share(server: &Server) -> Result<Option<f64>> {
    let mut connection = Connection::open(server.address)?;
    let response = connection.exchange(&http::get("/metrics"))?;
    let page = String::from_utf8_lossy(response.body);
    let sum =
        |name: &str| -> Option<f64> { page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()) };
    let (between, computing) = (sum("maana_between_batches_seconds_sum "), sum("maana_batch_seconds_sum "));
    Ok(between.zip(computing).map(|(between, computing)| between / (between + computing)))
}

fn cell_name(work: &Work, clients: usize) -> String {
    format!("{} texts, {clients} clients", work.lengths.name())
}

/// Runs `work` for each server while the others are stopped.
fn take_turns(up: &mut [Up], mut work: impl FnMut(&Up) -> Result<()>) -> Result<()> {
    for up in up.iter() {
        up.server.signal("CONT")?;
        work(up)?;
        up.server.signal("STOP")?;
    }
    Ok(())
}

/// Starts a server once per round, after a first start that fills the file cache; the last one
/// continues to run.
fn start(model: &Model, setting: &Setting, work: &Work, rounds: usize) -> Result<(Server, Started)> {
    println!("  {} starts", setting.name);
    let mut started = Started::of(setting);
    let mut server = None;
    for number in 0..=rounds {
        drop(server.take());
        let port = process::free_port()?;
        let (mut command, log) = (setting.command(port)?, workshop::log(model, setting));
        let running = Server::start(&setting.name, &mut command, port, &log, &request(model, &work.texts[0]))?;
        if number > 0 {
            started.seconds.push(running.start.as_secs_f64());
        }
        server = Some(running);
    }
    Ok((server.context("the server was started at least once")?, started))
}

fn request(model: &Model, text: &str) -> Vec<u8> {
    embeddings::openai(Some(&model.served()), &[text], "")
}

/// Runs `load` against a server, and checks every answer.
fn with_load<T>(up: &Up, model: &Model, work: &Work, load: impl FnOnce(Load) -> T) -> T {
    let requests: Vec<Vec<u8>> = work.texts.iter().map(|text| request(model, text)).collect();
    let exact = up.setting.ours;
    let embeddings = &work.embeddings[up.setting.precision];
    let check = |number: usize, response: &Response| right(response, &embeddings[number], exact);
    load(Load { address: up.server.address, requests: &requests, check: &check })
}

/// Tolerance for peers, whose sums have another order; ours are exact.
const TOLERANCE: f32 = 1e-4;

fn right(response: &Response, expected: &[f32], exact: bool) -> Result<(), String> {
    if response.status != 200 {
        return Ok(());
    }
    let embeddings = embeddings::from_openai(response.body)?;
    let [embedding] = &embeddings[..] else { return Err(format!("{} embeddings of one text", embeddings.len())) };
    if embedding.len() != expected.len() {
        return Err(format!("{} dimensions, not {}", embedding.len(), expected.len()));
    }
    let most = embedding.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let bound = if exact { 0.0 } else { TOLERANCE };
    if most <= bound { Ok(()) } else { Err(format!("an element differs by {most:e} from the expected embedding")) }
}

/// Returns the additional time of the warm-up, a third of the measured time.
fn warm_up(time: Duration) -> Duration {
    (time / 3).max(Duration::from_secs(1))
}

fn closed(up: &Up, model: &Model, work: &Work, clients: usize, time: Duration, name: &str) -> Result<Round> {
    let (begin, end) = (warm_up(time), warm_up(time) + time);
    let samples = with_load(up, model, work, |load| load.closed(clients, end, &AtomicBool::new(false)));
    round(up, name, &Summary::of(&samples, begin..end))
}

/// Maximum of connections below the limits of the system.
const CONNECTIONS: usize = 512;

fn open(up: &Up, model: &Model, work: &Work, rate: f64, time: Duration, round_number: usize) -> Result<Round> {
    let (begin, end) = (warm_up(time), warm_up(time) + time);
    let moments = arrivals(rate, end, round_number as u64);
    let samples = with_load(up, model, work, |load| load.open(&moments, CONNECTIONS));
    let name = format!("{} texts, {rate:.0} per second", work.lengths.name());
    round(up, &name, &Summary::of(&samples, begin..end))
}

fn round(up: &Up, name: &str, summary: &Summary) -> Result<Round> {
    if let Some(why) = summary.wrong.first() {
        bail!("{}, {name}: {} answers are wrong, first: {why}", up.setting.name, summary.wrong.len());
    }
    let round = Round::of(summary);
    println!("  {}, {name}: {}", up.setting.name, round.line());
    Ok(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let parse = |words: &str| Options::parse(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let options = parse("--only minilm --clients 1,8 --quick --rounds 2").unwrap();
        assert_eq!((options.models, options.clients, options.rounds), (vec!["minilm".to_owned()], vec![1, 8], 2));
        for words in ["--only maxilm", "--clients 1,x", "--clients 0", "--rounds", "--fast 1"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
