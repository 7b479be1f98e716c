//! Runs the tests of the kernels on instruction sets that this machine need not have: AVX-512 on a whole emulated computer,
//! NEON on an emulated processor, there with the tests of the bits of embeddings and of trained weights. Knows how to build and to watch; what comes from Debian and how the emulated computer starts
//! is told below. Everything is kept in `target/emulate`.

mod computer;
pub(crate) mod debian;

use anyhow::{Context, Result, bail, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

const FOLDER: &str = "target/emulate";
/// Which tests are built.
const KERNELS: [&str; 3] = ["--lib", "-p", "maana-kernels"];
const BITS: [&str; 4] = ["--test", "bits", "-p", "maana-train"];

/// What is asked of the test binary, and how long it may take.
pub(crate) struct Request {
    /// Only tests whose names contain one of these; all, if there is none.
    filters: Vec<String>,
    deadline: Duration,
}

impl Request {
    /// The arguments of the test binary. The lines that say which rung was checked must not be captured.
    fn arguments(&self) -> impl Iterator<Item = &str> {
        ["--test-threads=1", "--nocapture"].into_iter().chain(self.filters.iter().map(String::as_str))
    }
}

/// `[avx512|neon] [FILTER]... [--minutes N]`: without a name, both.
pub(crate) fn emulate(arguments: &[String]) -> Result<()> {
    let mut request = Request { filters: Vec::new(), deadline: Duration::from_secs(40 * 60) };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--minutes" {
            let minutes = words.next().and_then(|word| word.parse::<u64>().ok());
            request.deadline = Duration::from_secs(60 * minutes.context("--minutes wants a whole number after it")?);
        } else {
            ensure!(!word.starts_with('-'), "{word}: unknown; the only option is --minutes N");
            request.filters.push(word.clone());
        }
    }
    let chosen = request.filters.first().filter(|word| *word == "avx512" || *word == "neon").cloned();
    if chosen.is_some() {
        request.filters.remove(0);
    }
    if chosen.as_deref() != Some("neon") {
        avx512(&request)?;
    }
    if chosen.as_deref() != Some("avx512") {
        neon(&request)?;
    }
    Ok(())
}

/// A static binary of the tests, started in place of a system on a computer with AVX-512 and VNNI (there is no BF16).
fn avx512(request: &Request) -> Result<()> {
    let start = Instant::now();
    debian::install(&computer::PROGRAMS)?;
    let parts = computer::Parts::obtain()?;
    let tests = build("x86_64-unknown-linux-gnu", &KERNELS, &[])?;
    println!("\n— the computer starts: about a minute until its first test");
    let output = computer::run(&parts, &tests, request)?;
    report("avx512", &output, request)?;
    println!("emulate avx512: passed, in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Debian's own Rust compiler brings the standard library for aarch64; it is unpacked, since it may not be installed beside others.
fn neon(request: &Request) -> Result<()> {
    let start = Instant::now();
    debian::install(&[
        ("gcc-aarch64-linux-gnu", "/usr/bin/aarch64-linux-gnu-gcc"),
        ("libc6-dev-arm64-cross", "/usr/aarch64-linux-gnu/lib/libc.a"),
        ("qemu-user-static", "/usr/bin/qemu-aarch64-static"),
        ("libz3-4", "/usr/lib/x86_64-linux-gnu/libz3.so.4"),
        ("libedit2", "/usr/lib/x86_64-linux-gnu/libedit.so.2"),
        ("libxml2", "/usr/lib/x86_64-linux-gnu/libxml2.so.2"),
    ])?;
    let compiler = debian::unpack("rustc", |apt| {
        let library = apt.dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
        let llvm = apt.dependency(&library, "libllvm")?;
        let standard = ["amd64", "arm64"].map(|machine| format!("libstd-rust-web-dev:{machine}"));
        Ok([vec!["rustc-web".to_owned(), library, llvm], standard.to_vec()].concat())
    })?;
    let (rustc, libraries) = (compiler.join("usr/bin/rustc"), compiler.join("usr/lib/x86_64-linux-gnu"));
    let variables = [
        ("RUSTC", rustc.as_path()),
        ("LD_LIBRARY_PATH", &libraries),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", Path::new("aarch64-linux-gnu-gcc")),
    ];
    let mut output = String::new();
    for (name, which) in [("neon.txt", &KERNELS[..]), ("neon-bits.txt", &BITS)] {
        let tests = build("aarch64-unknown-linux-gnu", which, &variables)?;
        let log = PathBuf::from(FOLDER).join(name);
        let file = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
        let mut qemu = Command::new("qemu-aarch64-static");
        qemu.args(["-cpu", "max"]).arg(tests).args(request.arguments()).stdout(file.try_clone()?).stderr(file);
        println!("\n— {qemu:?}");
        let child = qemu.spawn().with_context(|| format!("{qemu:?}"))?;
        let mut watch = Watch { log, shown: 0 };
        let status = watch.until_it_ends(child, request.deadline, |text| Excerpt { text, complete: false })?;
        ensure!(status.success(), "the tests failed: {status}; all their output is in {}", watch.log.display());
        output += &watch.text()?;
    }
    report("neon", &output, request)?;
    println!("emulate neon: passed, in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Builds tests as one static file, and gives its path. The target is named even where it is the host's, so that build scripts and
/// macros, which cannot be static, do not get the flags.
fn build(target: &str, which: &[&str], variables: &[(&str, &Path)]) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--no-run", "--target", target]).args(which);
    cargo.args(["--message-format", "json-render-diagnostics", "--target-dir"]).arg(Path::new(FOLDER).join(target));
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("RUSTC_WRAPPER").env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols");
    cargo.envs(variables.iter().copied()).stderr(std::process::Stdio::inherit());
    println!("\n— {cargo:?}");
    let output = cargo.output().with_context(|| format!("{cargo:?}"))?;
    ensure!(output.status.success(), "{}: the tests do not build for {target} (see above)", which.join(" "));
    let messages = String::from_utf8(output.stdout)?;
    let path =
        messages.lines().filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next()).next_back();
    Ok(path.context("cargo named no test binary")?.into())
}

/// Says which rungs ran; a run that tested nothing, or without the rung that it was for, has not passed.
fn report(name: &str, output: &str, request: &Request) -> Result<()> {
    let ran = output.lines().filter_map(|line| line.strip_prefix("running ")).any(|line| !line.starts_with("0 "));
    ensure!(ran, "no test's name contains {}", request.filters.join(" or "));
    let mut rungs: Vec<(&str, usize)> = Vec::new();
    for line in output.lines() {
        let Some(rung) = line.split_once(" checked").and_then(|(before, _)| Some(before.rsplit_once(": ")?.1)) else {
            continue;
        };
        match rungs.iter_mut().find(|(other, _)| *other == rung) {
            Some((_, times)) => *times += 1,
            None => rungs.push((rung, 1)),
        }
    }
    let ran = rungs.iter().map(|(rung, times)| format!("{rung} ({times} times)")).collect::<Vec<_>>().join(", ");
    println!("\nrungs that said they ran: {}", if ran.is_empty() { "none" } else { &ran });
    if name == "avx512" && request.filters.is_empty() && !rungs.iter().any(|(rung, _)| rung.starts_with("avx512")) {
        bail!("no rung of AVX-512 ran: what it asks of the machine is more than {} has", computer::PROCESSOR);
    }
    if name == "neon" && request.filters.is_empty() && !rungs.iter().any(|(rung, _)| *rung == "neon") {
        bail!("the rung neon did not run");
    }
    Ok(())
}

/// What of a log is worth showing so far.
struct Excerpt<'a> {
    text: &'a str,
    /// Nothing more will come: the program need not be waited for.
    complete: bool,
}

/// Shows the output of a program while it grows in a file.
struct Watch {
    log: PathBuf,
    /// Bytes of the excerpt that were printed.
    shown: usize,
}

impl Watch {
    fn text(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
    }

    /// Waits for the program to end or its output to be complete; in the second case, and after the deadline, ends it.
    fn until_it_ends(
        &mut self,
        mut child: Child,
        deadline: Duration,
        excerpt: impl Fn(&str) -> Excerpt<'_>,
    ) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            let ended = child.try_wait()?;
            // The file may not be there yet.
            let text = self.text().unwrap_or_default();
            let Excerpt { text, complete } = excerpt(&text);
            if let Some(new) = text.get(self.shown..) {
                print!("{new}");
                std::io::stdout().flush()?;
                self.shown = text.len();
            }
            if let Some(status) = ended {
                return Ok(status);
            }
            let late = start.elapsed() > deadline;
            if complete || late {
                child.kill()?;
                let status = child.wait()?;
                ensure!(
                    complete,
                    "not done after {:.0} minutes, and ended. Choose fewer tests with a FILTER, or give more time with \
                     --minutes N. The output until then is in {}",
                    deadline.as_secs_f64() / 60.0,
                    self.log.display()
                );
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
