//! `cargo xtask emulate`: runs the tests of the kernels on instruction sets that this machine may
//! lack: AVX-512 on an emulated computer, NEON on an emulated processor, with the tests of the bits
//! of embeddings and trained weights. All files are in `target/emulate`.

mod computer;
mod watch;

use crate::debian::{self, FOLDER};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use watch::{Excerpt, Request, Watch};

/// Arguments of cargo for the kernels' tests.
const KERNELS: [&str; 3] = ["--lib", "-p", "maana-kernels"];
/// Arguments of cargo for the tests of bits.
const BITS: [&str; 4] = ["--test", "bits", "-p", "maana-train"];

/// Runs the command `[avx512|neon] [FILTER]... [--minutes N]`: both instruction sets by default.
pub(crate) fn emulate(arguments: &[String]) -> Result<()> {
    let mut request = Request { filters: Vec::new(), deadline: Duration::from_secs(40 * 60) };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--minutes" {
            let minutes = words.next().and_then(|word| word.parse::<u64>().ok());
            request.deadline = Duration::from_secs(60 * minutes.context("--minutes needs a whole number")?);
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

/// Runs a static binary of the tests on an emulated computer with AVX-512 and VNNI, but without
/// BF16.
fn avx512(request: &Request) -> Result<()> {
    let start = Instant::now();
    debian::install(&computer::PROGRAMS)?;
    let parts = computer::Parts::obtain()?;
    let tests = build("x86_64-unknown-linux-gnu", &KERNELS, &[])?;
    println!("\n— booting: about a minute until the first test");
    let output = computer::run(&parts, &tests, request)?;
    report("avx512", &output, request)?;
    println!("emulate avx512: passed, in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs the tests with QEMU. Debian's Rust compiler, which has the standard library for aarch64, is
/// unpacked instead of installed, so that it does not replace another one.
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
        ensure!(status.success(), "the tests failed: {status}; their output is in {}", watch.log.display());
        output += &watch.text()?;
    }
    report("neon", &output, request)?;
    println!("emulate neon: passed, in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Builds tests as one static file, and returns its path. The target is always explicit, so that
/// build scripts and macros, which cannot be static, do not get the flags.
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

/// Prints the instruction sets that ran. A run without tests, or without its own instruction set,
/// has failed.
fn report(name: &str, output: &str, request: &Request) -> Result<()> {
    let ran = output.lines().filter_map(|line| line.strip_prefix("running ")).any(|line| !line.starts_with("0 "));
    ensure!(ran, "no test has {} in its name", request.filters.join(" or "));
    let mut sets: Vec<(&str, usize)> = Vec::new();
    for line in output.lines() {
        let Some(set) = line.split_once(" checked").and_then(|(before, _)| Some(before.rsplit_once(": ")?.1)) else {
            continue;
        };
        match sets.iter_mut().find(|(other, _)| *other == set) {
            Some((_, times)) => *times += 1,
            None => sets.push((set, 1)),
        }
    }
    let ran = sets.iter().map(|(set, times)| format!("{set} ({times} times)")).collect::<Vec<_>>().join(", ");
    println!("\ninstruction sets that ran: {}", if ran.is_empty() { "none" } else { &ran });
    if name == "avx512" && request.filters.is_empty() && !sets.iter().any(|(set, _)| set.starts_with("avx512")) {
        bail!("AVX-512 did not run: it needs more than {} has", computer::PROCESSOR);
    }
    if name == "neon" && request.filters.is_empty() && !sets.iter().any(|(set, _)| *set == "neon") {
        bail!("neon did not run");
    }
    Ok(())
}
