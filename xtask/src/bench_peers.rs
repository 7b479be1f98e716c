//! `cargo xtask bench-peers`: compares Maana with its peers on this machine, each in its best
//! honest setting.
//!
//! Every engine of a comparison is a process that has loaded, warmed up and sleeps until its turn.
//! Rounds alternate, A B C ours, A B C ours, so that other load on the machine affects all engines
//! equally.

mod chart;
pub(crate) mod engine;
pub(crate) mod machine;
mod plan;
mod report;
mod results;
mod workshop;

use anyhow::{Context, Result, bail};
use engine::{Engine, Setting};
use plan::{Part, Plan};
use report::Comparison;
pub(crate) use report::Measured;
use results::Results;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use workshop::Workshop;
pub(crate) use workshop::{MODELS, bge_base_folder, copy_folder, minilm_folder};

/// Options of the command line.
struct Options {
    only: Vec<Part>,
    rounds: Option<usize>,
    threads: usize,
    quick: bool,
    /// Folder of the results, if it is not that of the repository.
    out: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let threads = std::thread::available_parallelism()?.get();
        let mut options = Self { only: Part::ALL.to_vec(), rounds: None, threads, quick: false, out: None };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            if flag == "--quick" {
                options.quick = true;
                continue;
            }
            let value = rest.next().with_context(|| format!("{flag}: unknown, or without a value; see cargo xtask"))?;
            let count =
                || value.parse().ok().filter(|&n| n > 0).with_context(|| format!("{flag} {value}: not a count"));
            match flag.as_str() {
                "--only" => options.only = value.split(',').map(Part::parse).collect::<Result<_>>()?,
                "--rounds" => options.rounds = Some(count()?),
                "--threads" => options.threads = count()?,
                "--out" => options.out = Some(value.into()),
                _ => bail!("{flag}: unknown; use --only, --rounds, --threads, --out or --quick"),
            }
        }
        Ok(options)
    }

    fn rounds(&self, part: Part) -> usize {
        self.rounds.unwrap_or(match (self.quick, part) {
            (true, _) => 2,
            (false, Part::Encode | Part::Rerank | Part::Start) => 7,
            (false, Part::Train | Part::Evaluate) => 3,
        })
    }
}

/// Runs the requested comparisons, and adds them to earlier results of the same machine. In the
/// repository, those of another machine are replaced by a run of all parts only.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let workshop = Workshop::make(options.quick, options.threads, options.only.contains(&Part::Rerank))?;
    let usual = Path::new(if options.quick { "target/peers" } else { "bench" });
    let folder = options.out.as_deref().unwrap_or(usual);
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let replaces = folder != Path::new("bench") || Part::ALL.iter().all(|part| options.only.contains(part));
    let mut results = Results::open(folder, replaces)?;
    machine::warn_if_busy();
    for plan in plan::all(&workshop).into_iter().filter(|plan| options.only.contains(&plan.part)) {
        let comparison = measure(&plan, &options)?;
        println!("{}", comparison.table());
        results.put(comparison);
        results.write(folder)?;
    }
    println!("{}: written", folder.join("RESULTS.md").display());
    Ok(())
}

fn measure(plan: &Plan, options: &Options) -> Result<Comparison> {
    let rounds = options.rounds(plan.part);
    println!("\n— {}, {rounds} rounds, {} threads", plan.title, options.threads);
    let load_before = machine::load();
    let engines = match plan.part {
        Part::Start => whole_processes(plan, rounds),
        Part::Encode | Part::Rerank | Part::Train | Part::Evaluate => alternating(&plan.key, &plan.engines, rounds),
    };
    let (date, commit) = (machine::date()?, machine::commit()?);
    let about = (plan.key.clone(), plan.title.clone(), plan.part, plan.targets.clone());
    Ok(Comparison::new(about, (date, commit, load_before), (rounds, options.threads), engines))
}

/// Time after which spinning workers of the previous engine sleep.
const SETTLE: Duration = Duration::from_millis(500);

/// Measures engines in alternation. `comparison` is the name of their logs.
pub(crate) fn alternating(comparison: &str, settings: &[Setting], rounds: usize) -> Vec<Measured> {
    let mut engines = Vec::new();
    for setting in settings {
        println!("  {} loads", setting.name);
        engines.push((Engine::start(comparison, setting), Measured::of(setting)));
    }
    for round in 1..=rounds {
        for (engine, measured) in &mut engines {
            std::thread::sleep(SETTLE);
            if let Ok(running) = engine {
                match running.round() {
                    Ok(answer) => measured.add(&answer),
                    Err(error) => *engine = Err(error),
                }
            }
        }
        println!("  round {round} of {rounds} done");
    }
    let end = |(engine, mut measured): (Result<Engine>, Measured)| {
        match engine {
            Ok(engine) => measured.close(&engine),
            Err(error) => measured.fail(&error),
        }
        measured
    };
    engines.into_iter().map(end).collect()
}

/// Times whole processes that embed one text; a first round, which is not measured, warms the file
/// cache.
fn whole_processes(plan: &Plan, rounds: usize) -> Vec<Measured> {
    let mut all: Vec<Measured> = plan.engines.iter().map(Measured::of).collect();
    for round in 0..=rounds {
        for (setting, measured) in plan.engines.iter().zip(&mut all).filter(|(_, measured)| measured.works()) {
            match whole_process(&plan.key, setting) {
                Ok(seconds) if round > 0 => measured.seconds.push(seconds),
                Ok(_) => {}
                Err(error) => measured.fail(&error),
            }
        }
    }
    all
}

fn whole_process(comparison: &str, setting: &Setting) -> Result<f64> {
    let mut command = setting.command();
    let log = engine::log(comparison, setting)?;
    command.stdout(log.try_clone()?).stderr(log);
    let start = Instant::now();
    let status = command.status().with_context(|| setting.line())?;
    let seconds = start.elapsed().as_secs_f64();
    if status.success() { Ok(seconds) } else { Err(engine::why(comparison, setting, "failed")) }
}
