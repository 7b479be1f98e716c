//! Debian packages: programs are installed; parts of another system or architecture are unpacked
//! below `target`. The system's own lists and architectures remain unchanged.

use crate::command::run;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder of unpacked packages.
pub(crate) const FOLDER: &str = "target/emulate";

/// Installs missing packages. Each is listed with a file that it contains.
pub(crate) fn install(packages: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let user = Command::new("id").arg("-u").output().context("id -u")?;
    if user.stdout.trim_ascii() != b"0" || !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "Debian packages are missing; install them as root with `apt-get install --no-install-recommends {}`",
            missing.join(" ")
        );
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    for (package, file) in packages {
        ensure!(Path::new(file).exists(), "{package} is installed but has no {file}");
    }
    Ok(())
}

/// Unpacks the packages of `choose` into a folder, once, and returns the folder.
pub(crate) fn unpack(name: &str, choose: impl FnOnce(&Apt) -> Result<Vec<String>>) -> Result<PathBuf> {
    let folder = std::env::current_dir()?.join(FOLDER).join(name);
    let ready = folder.join("ready");
    if !ready.is_file() {
        let apt = Apt::updated()?;
        let packages = choose(&apt)?;
        let archives = folder.with_extension("archives");
        for old in [&folder, &archives] {
            if old.exists() {
                std::fs::remove_dir_all(old)?;
            }
        }
        std::fs::create_dir_all(&archives)?;
        run(apt.command("apt-get").arg("download").args(&packages).current_dir(&archives))?;
        for archive in std::fs::read_dir(&archives)? {
            run(Command::new("dpkg-deb").arg("-x").arg(archive?.path()).arg(&folder))?;
        }
        std::fs::remove_dir_all(&archives)?;
        std::fs::write(ready, packages.join("\n"))?;
    }
    Ok(folder)
}

/// The package manager with separate lists for two architectures.
pub(crate) struct Apt {
    lists: PathBuf,
}

impl Apt {
    fn updated() -> Result<Self> {
        let lists = std::env::current_dir()?.join(FOLDER).join("lists");
        std::fs::create_dir_all(lists.join("partial"))?;
        let apt = Self { lists };
        run(apt.command("apt-get").args(["update", "-qq"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-o", "APT::Architecture=amd64", "-o", "APT::Architectures::=amd64"]);
        command.args(["-o", "APT::Architectures::=arm64", "-o", "APT::Sandbox::User=root"]);
        command.args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]);
        command.arg("-o").arg(format!("Dir::State::lists={}", self.lists.display()));
        command
    }

    /// Returns the dependency of a package with this prefix, whose full name contains a version.
    pub(crate) fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let mut depends = self.command("apt-cache");
        let output = depends.args(["depends", package]).output().with_context(|| format!("{depends:?}"))?;
        let text = String::from_utf8(output.stdout)?;
        let found =
            text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).find(|d| d.starts_with(prefix));
        let found =
            found.with_context(|| format!("Debian's {package} is unavailable, or does not depend on {prefix}…"))?;
        Ok(found.to_owned())
    }
}
