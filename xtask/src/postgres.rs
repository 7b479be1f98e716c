//! `cargo xtask postgres`: runs the tests that need PostgreSQL with pgvector, on the server of a
//! Python wheel below `target`.

use crate::command::run;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Variable with the address of the server for tests.
const ADDRESS: &str = "MAANA_TEST_POSTGRES";

/// A server that stops when this is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Result<Self> {
        let python = crate::python::environment(
            Path::new("target/postgres-python"),
            Path::new("xtask/src/postgres/requirements.txt"),
            "the network and 100 MB of disk",
        )?;
        let mut serve = Command::new(python);
        serve.arg("xtask/src/postgres/serve.py").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = serve.spawn().with_context(|| format!("{serve:?}"))?;
        let out = process.stdout.take().context("a piped output")?;
        let mut address = String::new();
        BufReader::new(out).read_line(&mut address)?;
        let server = Self { process, address: address.trim().to_owned() };
        if server.address.is_empty() {
            bail!("the server of the wheel did not start (see above)");
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server stops when its standard input ends.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Runs the tests, on the server of the variable if it is set.
pub(crate) fn test() -> Result<()> {
    let server = if std::env::var_os(ADDRESS).is_some() { None } else { Some(Server::start()?) };
    test_on(server.as_ref())
}

/// Runs the tests, or reports that they are skipped where the wheel is unavailable.
pub(crate) fn test_if_possible() -> Result<()> {
    if std::env::var_os(ADDRESS).is_some() {
        return test_on(None);
    }
    match Server::start() {
        Ok(server) => test_on(Some(&server)),
        Err(error) => {
            println!("skipped: the tests on PostgreSQL: {error:#}");
            Ok(())
        }
    }
}

fn test_on(server: Option<&Server>) -> Result<()> {
    // With `--workspace`, so that features and build are those of the other tests.
    let suites: [&[&str]; 2] =
        [&["--test", "database", "--test", "killed", "--test", "stores"], &["--test", "cli", "database"]];
    suites.into_iter().try_for_each(|suite| {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--workspace"]).args(suite);
        if let Some(server) = server {
            cargo.env(ADDRESS, &server.address);
        }
        run(&mut cargo)
    })
}
