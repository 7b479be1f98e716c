//! A server as a process: started, waited for, weighed, stopped.

use super::http::Connection;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The slowest peer takes a third of that to load.
const START: Duration = Duration::from_secs(180);

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first good answer.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts `command` and waits until `request` is answered by 200.
    pub(crate) fn start(name: &str, command: &mut Command, port: u16, log: &Path, request: &[u8]) -> Result<Self> {
        let output = File::create(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let begin = Instant::now();
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (name, log) = (name.to_owned(), log.to_owned());
        let mut server = Self { name, child, log, address, start: Duration::ZERO };
        while !server.answers(request) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{}: ended with {status}; {}", server.name, server.last_words());
            }
            if begin.elapsed() > START {
                bail!("{}: not ready after {} s; {}", server.name, START.as_secs(), server.last_words());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        server.start = begin.elapsed();
        Ok(server)
    }

    fn answers(&self, request: &[u8]) -> bool {
        let Ok(mut connection) = Connection::open(self.address) else { return false };
        connection.exchange(request).is_ok_and(|response| response.status == 200)
    }

    /// Resident memory in bytes now.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        self.status_bytes("VmRSS:")
    }

    /// The largest resident memory so far, in bytes.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }

    /// Returns true while the process runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name: TERM, STOP, CONT.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().context("kill")?;
        if status.success() { Ok(()) } else { bail!("{}: kill -s {name} failed", self.name) }
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{}: still runs {} s after the signal to end", self.name, limit.as_secs())
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The last lines of what it printed.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        lines.reverse();
        format!("the last words of {}: {}", self.log.display(), lines.join(" | "))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nothing listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
