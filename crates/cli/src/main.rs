//! The program `maana`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    maana_cli::main(std::env::args_os()).into()
}
