//! Runs that are killed or stopped, and go on to the very same bits.

use crate::support::{Bench, succeed, text};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A run long enough to be killed in: 20 epochs with an evaluation, and so a checkpoint, after each two updates.
fn long_run(bench: &Bench, out: &str) -> Command {
    let mut command = bench.train(out);
    for setting in ["training.epochs=20", "training.evaluate=2", "training.gradient_accumulation_steps=2"] {
        command.args(["--set", setting]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn weights(bench: &Bench, out: &str) -> Vec<u8> {
    std::fs::read(bench.path(out).join("model/model.safetensors")).unwrap()
}

#[test]
fn killed_ten_times_at_random_moments_a_run_ends_with_the_same_bits() {
    let bench = Bench::new();
    let start = Instant::now();
    succeed(&mut long_run(&bench, "whole"));
    let whole = start.elapsed();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut killed = 0;
    for attempt in 0..10 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut command = long_run(&bench, "killed");
        if bench.path("killed").exists() {
            command.arg("--resume");
        }
        let mut child = command.spawn().unwrap();
        // Somewhere in the first fifth of what a whole run takes: also while the model is read and measured before.
        std::thread::sleep(whole.mul_f64((random >> 40) as f64 / f64::from(1 << 24) * 0.2));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        println!("attempt {attempt}: killed after {:?}", start.elapsed());
    }
    assert!(killed >= 5, "only {killed} runs were still going when they were killed");
    let mut last = long_run(&bench, "killed");
    if bench.path("killed").exists() {
        last.arg("--resume");
    }
    succeed(&mut last);
    assert!(weights(&bench, "killed") == weights(&bench, "whole"), "other bits after {killed} kills");
    let record = |out: &str| {
        let record = std::fs::read_to_string(bench.path(out).join("record.jsonl")).unwrap();
        let rows = record.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let strip = |mut row: serde_json::Value| {
            row.as_object_mut().unwrap().retain(|key, _| !["seconds", "tokens_per_second"].contains(&key.as_str()));
            row
        };
        rows.map(strip).collect::<Vec<_>>()
    };
    assert_eq!(record("killed"), record("whole"), "everything logged, but how long it took");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_a_checkpoint_and_says_how_to_go_on() {
    let bench = Bench::new();
    succeed(&mut long_run(&bench, "whole"));
    let mut command = long_run(&bench, "stopped");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !bench.path("stopped/record.jsonl").exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "the run does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let (said, noted) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "what follows `&&` waits for a finished model\n{said}\n{noted}");
    assert!(noted.contains("stopping: writing a checkpoint"), "{noted}");
    let go_on =
        said.lines().find_map(|line| line.strip_prefix("go on with: maana ")).unwrap_or_else(|| panic!("{said}"));
    assert!(!bench.path("stopped/model").exists(), "it was not finished");
    // The very words that it said, in a shell: they repeat the settings, without which the run would be another.
    let mut again = Command::new("sh");
    succeed(again.args(["-c", &format!("exec \"$0\" {go_on}"), env!("CARGO_BIN_EXE_maana")]));
    assert!(weights(&bench, "stopped") == weights(&bench, "whole"));
}
