//! What comes from Debian: programs are installed, parts of another system or architecture only unpacked below `target`. The
//! system's own lists and architectures stay as they are.

use crate::command::run;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sees to it that the packages are installed. Each comes with a file by which it is known to be there.
pub(crate) fn install(packages: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let user = Command::new("id").arg("-u").output().context("id -u")?;
    if user.stdout.trim_ascii() != b"0" || !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "Debian packages are missing: install them as root with `apt-get install --no-install-recommends {}`",
            missing.join(" ")
        );
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    for (package, file) in packages {
        ensure!(Path::new(file).exists(), "{package} is installed, but has no {file}");
    }
    Ok(())
}

/// The packages that `choose` names, unpacked into a folder of their own; once it is there, it is only given.
pub(super) fn unpack(name: &str, choose: impl FnOnce(&Apt) -> Result<Vec<String>>) -> Result<PathBuf> {
    let folder = std::env::current_dir()?.join(super::FOLDER).join(name);
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

/// The package manager with lists of its own, of two architectures.
pub(super) struct Apt {
    lists: PathBuf,
}

impl Apt {
    fn updated() -> Result<Self> {
        let lists = std::env::current_dir()?.join(super::FOLDER).join("lists");
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

    /// The package that this one needs and whose name begins so: names that hold a version are found, not known.
    pub(super) fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let mut depends = self.command("apt-cache");
        let output = depends.args(["depends", package]).output().with_context(|| format!("{depends:?}"))?;
        let text = String::from_utf8(output.stdout)?;
        let found =
            text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).find(|d| d.starts_with(prefix));
        let found = found.with_context(|| format!("Debian's {package} is not to be had, or needs no {prefix}…"))?;
        Ok(found.to_owned())
    }
}
