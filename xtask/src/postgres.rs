//! Tests that need PostgreSQL with pgvector, on a server of their own: that of a Python wheel, below `target`.

use crate::command::run;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The variable that tells tests where the server is.
const ADDRESS: &str = "MAANA_TEST_POSTGRES";

/// A server that runs as long as this lives.
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
        let out = process.stdout.take().context("standard output was asked for")?;
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

/// Runs them; where there is a server already, the variable says so.
pub(crate) fn test() -> Result<()> {
    let server = if std::env::var_os(ADDRESS).is_some() { None } else { Some(Server::start()?) };
    test_on(server.as_ref())
}

/// Runs them if the wheel can be had here, and says so if it cannot.
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
    // Of the whole workspace, so that nothing is built a second time with other features.
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
