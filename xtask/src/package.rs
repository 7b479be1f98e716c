//! `cargo xtask python`, `python-peers` and `wheel`: the tests of the Python package, and its
//! wheel.

use crate::command::{cargo, run};
use crate::python;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const TESTS: &str = "python/tests";

/// Environment with nothing but the wheel and pytest.
const CLEAN: &str = "target/python-clean";

/// Largest wheel, in bytes.
const MOST_BYTES: u64 = 20_000_000;

/// Runs the package's tests against the native module of this build, in `target/python`.
/// `arguments` are those of pytest.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    test_with(&environment()?, arguments)
}

/// Runs the same tests with the libraries that need PyTorch, without which some are skipped.
pub(crate) fn test_peers(arguments: &[String]) -> Result<()> {
    test_with(&peers()?, arguments)
}

fn test_with(python: &Path, arguments: &[String]) -> Result<()> {
    cargo(&["build", "--workspace", "--lib", "--quiet"])?;
    let folder = lay_out("debug", "target/python")?;
    run(python::pytest(python, TESTS).args(arguments).env("PYTHONPATH", folder))
}

/// Lays the package out in `folder` with the native module of a profile, and returns the folder.
pub(crate) fn lay_out<'a>(profile: &str, folder: &'a str) -> Result<&'a Path> {
    let package = Path::new(folder).join("maana");
    let _ = std::fs::remove_dir_all(&package);
    copy_modules(Path::new("python/maana"), &package)?;
    let extension = if cfg!(target_os = "macos") { "dylib" } else { "so" };
    let built = format!("target/{profile}/lib_maana.{extension}");
    std::fs::copy(&built, package.join("_maana.abi3.so")).with_context(|| built.clone())?;
    Ok(Path::new(folder))
}

/// Copies the modules of a package and of those inside it.
fn copy_modules(package: &Path, target: &Path) -> Result<()> {
    std::fs::create_dir_all(target)?;
    for entry in std::fs::read_dir(package)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?;
        if path.join("__init__.py").is_file() {
            copy_modules(&path, &target.join(name))?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            std::fs::copy(&path, target.join(name))?;
        }
    }
    Ok(())
}

/// Runs as a part of all tests; skipped where the packages are unavailable.
pub(crate) fn in_tests() -> Result<()> {
    if let Err(error) = environment() {
        println!("skipped: the Python package, because the packages of its tests are unavailable: {error:#}");
        return Ok(());
    }
    test(&[])
}

/// Builds the wheel and the source distribution in `target/wheels`. Installs the wheel in an empty
/// environment, runs the tests that need nothing else, measures the time to a first embedding and
/// runs the command; then installs the source distribution, which pip compiles in the folder of
/// this build.
pub(crate) fn wheel() -> Result<()> {
    let python = environment()?;
    let wheels = Path::new("target/wheels");
    let _ = std::fs::remove_dir_all(wheels);
    run(Command::new(&python).args(["-m", "maturin", "build", "--release", "--sdist", "--out"]).arg(wheels))?;
    let (found, source) = (with_end(wheels, ".whl")?, with_end(wheels, ".tar.gz")?);
    let tagged = !cfg!(target_os = "linux") || found.display().to_string().contains("manylinux");
    ensure!(tagged, "{}: the wheel runs on this system only; expected a tag of manylinux", found.display());
    let bytes = found.metadata()?.len();
    println!("{}: {:.1} MB", found.display(), bytes as f64 / 1e6);
    ensure!(bytes < MOST_BYTES, "the wheel has {bytes} bytes; expected less than {MOST_BYTES}");

    run(Command::new("python3").args(["-m", "venv", "--clear", CLEAN]))?;
    let clean = Path::new(CLEAN).join("bin/python");
    run(Command::new(&clean).args(["-m", "pip", "install", "-q", "pytest"]).arg(&found))?;
    run(&mut python::pytest(&clean, TESTS))?;
    run(Command::new(&clean).arg("xtask/python/start.py"))?;
    run(Command::new(Path::new(CLEAN).join("bin/maana")).arg("--version"))?;

    let mut install = Command::new(&clean);
    install.args(["-m", "pip", "install", "-q", "--force-reinstall", "--no-deps"]).arg(&source);
    run(install.env("CARGO_TARGET_DIR", std::path::absolute("target")?))?;
    run(Command::new(&clean).args(["-c", "import maana; print('source distribution:', maana.__version__)"]))
}

fn with_end(folder: &Path, end: &str) -> Result<PathBuf> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let found = files.into_iter().find(|path| path.to_string_lossy().ends_with(end));
    found.with_context(|| format!("maturin wrote no {end} to {}", folder.display()))
}

fn environment() -> Result<PathBuf> {
    let requirements = Path::new(TESTS).join("requirements.txt");
    python::environment(Path::new("target/python-tests"), &requirements, "the network and 2 GB of disk")
}

/// Returns the environment that also has Sentence Transformers and libraries built on it.
pub(crate) fn peers() -> Result<PathBuf> {
    let requirements = Path::new(TESTS).join("requirements-peers.txt");
    python::environment(Path::new("target/python-peers"), &requirements, "the network and 9 GB of disk")
}
