//! `cargo xtask attack`: mutates every kind of file that the program reads, and the requests and
//! hub answers that reach it, and checks that each run ends well. A fault is a panic, a signal, a
//! timeout, memory beyond the limit, an error without a message, a changed file of the user's, or a
//! success that differs from the undisturbed run where checksums promise more.

mod fixture;
mod hub;
mod mutate;
mod older_models;
mod process;
mod report;
mod requests;
mod subject;

use crate::serving::texts::Draws;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use subject::Subject;

const DEBUG: &str = "target/debug/maana";
/// Folder of the fixtures, the trials and the faults that were found.
const WORK: &str = "target/attack";
/// Seed where none is given.
const SEED: u64 = 14;

/// Number of trials in the tests: ten per subject, about half a minute on two cores. It is a number
/// instead of a time, so that a busy machine runs the same trials.
const TRIALS: u64 = 220;

/// End of a run.
enum Limit {
    Time(Duration),
    Trials(u64),
}

/// Values of the command line.
struct Options {
    limit: Limit,
    seed: u64,
    /// Number of the one trial to repeat.
    trial: Option<u64>,
    only: Option<String>,
    maana: PathBuf,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let limit = Limit::Time(Duration::from_secs(600));
        let mut options = Self { limit, seed: SEED, trial: None, only: None, maana: DEBUG.into() };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            let value = rest.next().with_context(|| format!("{flag}: unknown, or without a value; see cargo xtask"))?;
            let number =
                || value.parse::<f64>().ok().filter(|number| *number > 0.0).context("expected a number above 0");
            match flag.as_str() {
                "--minutes" => options.limit = Limit::Time(Duration::from_secs_f64(60.0 * number()?)),
                "--trials" => {
                    options.limit = Limit::Trials(value.parse().context("--trials: expected a whole number")?)
                }
                "--seed" => options.seed = value.parse().context("--seed: expected a whole number")?,
                "--trial" => options.trial = Some(value.parse().context("--trial: expected a whole number")?),
                "--only" => options.only = Some(value.clone()),
                "--maana" => options.maana = value.into(),
                _ => bail!("{flag}: unknown; there are --minutes, --trials, --seed, --trial, --only and --maana"),
            }
        }
        Ok(options)
    }
}

/// Runs a fixed number of trials with a fixed seed.
pub(crate) fn in_tests() -> Result<()> {
    run(&["--trials".to_owned(), TRIALS.to_string()])
}

/// Attacks as the command line says.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut options = Options::parse(arguments)?;
    if options.maana == Path::new(DEBUG) {
        // As the tests build it: with other features everything would be built a second time.
        crate::command::cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    }
    options.maana = options.maana.canonicalize().with_context(|| options.maana.display().to_string())?;
    let work = Path::new(WORK);
    let _ = std::fs::remove_dir_all(work);
    std::fs::create_dir_all(work)?;
    let work = work.canonicalize()?;
    let mut subjects = subject::all(&options.maana, &work.join("fixture"))?;
    if let Some(only) = &options.only {
        let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
        ensure!(names.contains(&only.as_str()), "--only {only}: unknown; there are {}", names.join(", "));
        subjects.retain(|subject| subject.name == only);
    }
    let attack = Attack { options, work, subjects, next: AtomicU64::new(0), found: Mutex::default() };
    attack.carry_out()
}

struct Attack {
    options: Options,
    work: PathBuf,
    subjects: Vec<Subject>,
    next: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// Trials and refusals by subject.
    trials: BTreeMap<&'static str, (u64, u64)>,
    faults: Vec<String>,
}

impl Attack {
    fn carry_out(&self) -> Result<()> {
        if let Some(trial) = self.options.trial {
            self.trial(trial)?;
        } else {
            let begin = Instant::now();
            let workers = std::thread::available_parallelism().map_or(1, usize::from);
            std::thread::scope(|scope| {
                let work = || -> Result<()> {
                    loop {
                        let number = self.next.fetch_add(1, Ordering::Relaxed);
                        let is_over = match self.options.limit {
                            Limit::Time(time) => begin.elapsed() >= time,
                            Limit::Trials(trials) => number >= trials,
                        };
                        if is_over {
                            return Ok(());
                        }
                        self.trial(number)?;
                    }
                };
                let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
                workers.into_iter().try_for_each(|worker| worker.join().expect("a worker panicked"))
            })?;
        }
        let found = self.found.lock().expect("no worker panicked");
        println!("subject        trials  refused");
        for (name, (trials, refused)) in &found.trials {
            println!("{name:<14} {trials:>6} {refused:>8}");
        }
        for fault in &found.faults {
            println!("\n{fault}");
        }
        println!("attack: seed {}, {} faults", self.options.seed, found.faults.len());
        ensure!(found.faults.is_empty(), "the attack found {} faults; see above", found.faults.len());
        Ok(())
    }

    /// One mutation of one subject in a folder of its own, which stays only if a fault was found.
    fn trial(&self, number: u64) -> Result<()> {
        let mut draws = Draws::new(self.options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let subject = &self.subjects[number as usize % self.subjects.len()];
        let folder = self.work.join(format!("trial-{number}"));
        let report = subject.attack(&self.options.maana, &folder, &mut draws)?;
        let mut found = self.found.lock().expect("no worker panicked");
        let counts = found.trials.entry(subject.name).or_default();
        counts.0 += 1;
        counts.1 += u64::from(report.refused);
        if report.faults.is_empty() {
            drop(found);
            std::fs::remove_dir_all(&folder)?;
            return Ok(());
        }
        let repeat = format!("cargo xtask attack --seed {} --trial {number}", self.options.seed);
        let only = self.options.only.as_ref().map_or(String::new(), |only| format!(" --only {only}"));
        let fault = format!(
            "{}: {}\n  {}\n  kept in {}\n  repeat: {repeat}{only}",
            subject.name,
            report.mutation,
            report.faults.join("\n  "),
            folder.display()
        );
        println!("{fault}");
        found.faults.push(fault);
        Ok(())
    }
}
