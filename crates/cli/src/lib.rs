//! `maana`: the command line, one command per file. It parses arguments and prints; the library
//! does the work.
#![forbid(unsafe_code)]
// Print with `outln!` and `errln!`, which survive a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod terminal;
mod commands;
mod cross_encoder;
mod interrupt;
mod number;
mod outputs;
mod precision;
mod prompts;
mod store_arguments;

use anyhow::Result;
use clap::{Parser, Subcommand};
use maana::kernels::Context;
use std::ffi::OsString;
use std::sync::Arc;

/// Train, evaluate and serve sentence embeddings, for Swahili and other under-resourced languages,
/// on ordinary CPUs.
#[derive(Parser)]
#[command(
    name = "maana",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  maana demo                                   try the whole workflow in a few minutes
  maana inspect train.jsonl --against dev/     look at training data before a run
  maana train recipe.toml --dry-run            check a recipe and print the plan of its run
  maana evaluate MODEL dev/ --dims 768,256,64  measure retrieval at several dimensions
  maana encode MODEL --input texts.txt --output embeddings.npy

MODEL is a folder, a name on the Hugging Face hub, or name@revision.
Exit codes: 0 success, 1 failure, 2 wrong command line."
)]
struct Arguments {
    /// Threads for computing [default: the cores that this process may use]
    #[arg(long, global = true, display_order = 900, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(commands::demo::Demo),
    Inspect(commands::inspect::Inspect),
    Train(commands::train::Train),
    Blend(commands::blend::Blend),
    DistillStatic(commands::distill_static::DistillStatic),
    Evaluate(commands::evaluate::Evaluate),
    Encode(commands::encode::Encode),
    Similarity(commands::similarity::Similarity),
    Index(commands::index::Index),
    Add(commands::index::Add),
    Delete(commands::store::Delete),
    Search(commands::search::Search),
    Rerank(commands::rerank::Rerank),
    Score(commands::score::Score),
    Compact(commands::store::Compact),
    IndexInfo(commands::store::IndexInfo),
    IndexVerify(commands::store::IndexVerify),
    IndexSalvage(commands::store::IndexSalvage),
    Mine(commands::mine::Mine),
    Dedupe(commands::mine::Dedupe),
    #[command(name = "hard-negatives")]
    HardNegatives(commands::hard_negatives::HardNegativesCommand),
    Cluster(commands::cluster::Cluster),
    Classify(commands::classify::Classify),
    Serve(commands::serve::Serve),
    Info(commands::info::Info),
    Fetch(commands::fetch::Fetch),
    Push(commands::push::Push),
    Bench(commands::bench::Bench),
    Synthesize(commands::synthesize::Synthesize),
    Completions(commands::completions::Completions),
}

/// Runs a command line, of which the first argument is the name of the program, and returns the
/// exit code. A wrong command line, and a request for help, end the process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = Arguments::parse_from(arguments);
    interrupt::listen();
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let requested = arguments.threads.map_or_else(available, usize::from);
    let context = Context::new(requested);
    if context.threads() < requested {
        let given = context.threads();
        errln!("note: the system allows {given} of {requested} threads (ulimit -u); results are the same");
    }
    match run(arguments.command, &Arc::new(context)) {
        Ok(()) => 0,
        Err(error) => {
            terminal::print_error(&error);
            1
        }
    }
}

fn run(command: Command, context: &Arc<Context>) -> Result<()> {
    match command {
        Command::Demo(command) => command.run(context),
        Command::Inspect(command) => command.run(context),
        Command::Train(command) => command.run(context),
        Command::Blend(command) => command.run(context),
        Command::DistillStatic(command) => command.run(context),
        Command::Evaluate(command) => command.run(context),
        Command::Encode(command) => command.run(context),
        Command::Similarity(command) => command.run(context),
        Command::Index(command) => command.run(context),
        Command::Add(command) => command.run(context),
        Command::Delete(command) => command.run(),
        Command::Search(command) => command.run(context),
        Command::Rerank(command) => command.run(context),
        Command::Score(command) => command.run(context),
        Command::Compact(command) => command.run(context),
        Command::IndexInfo(command) => command.run(),
        Command::IndexVerify(command) => command.run(),
        Command::IndexSalvage(command) => command.run(),
        Command::Mine(command) => command.run(context),
        Command::Dedupe(command) => command.run(context),
        Command::HardNegatives(command) => command.run(context),
        Command::Cluster(command) => command.run(context),
        Command::Classify(command) => command.run(context),
        Command::Serve(command) => command.run(context),
        Command::Fetch(command) => command.run(),
        Command::Push(command) => command.run(),
        Command::Info(command) => command.run(context),
        Command::Bench(command) => command.run(context),
        Command::Synthesize(command) => command.run(),
        Command::Completions(command) => command.run(description()),
    }
}

/// Returns the description of the command line, for completions and tests.
fn description() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::description().debug_assert();
    }

    /// Calls `look` with the name of every command and each of its options.
    fn for_each_command(command: &clap::Command, look: &mut impl FnMut(&str, &clap::Arg)) {
        command.get_arguments().for_each(|argument| look(command.get_name(), argument));
        command.get_subcommands().for_each(|command| for_each_command(command, look));
    }

    #[test]
    fn every_option_that_takes_a_number_takes_a_negative_one() {
        use std::any::TypeId;
        let fractions = [TypeId::of::<f32>(), TypeId::of::<f64>()];
        let mut found = Vec::new();
        for_each_command(&super::description(), &mut |command, argument| {
            let kind = argument.get_value_parser().type_id();
            if fractions.iter().any(|fraction| kind == *fraction) {
                let name = format!("{command} --{}", argument.get_id());
                let is_read = argument.is_allow_negative_numbers_set() || argument.is_allow_hyphen_values_set();
                assert!(is_read, "{name}: -1 is read as an option");
                found.push(name);
            }
        });
        assert!(found.len() >= 8, "{found:?}");
    }
}
