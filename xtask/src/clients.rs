//! `cargo xtask clients`: tests the program with third-party clients, which are pinned Python
//! packages.

use crate::command::{cargo, run};
use crate::python;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Tests that share an environment.
struct Suite {
    /// Folder of the tests and their requirements.
    tests: &'static str,
    environment: &'static str,
    /// Needs of the installation.
    needs: &'static str,
}

const SUITES: [Suite; 3] = [
    Suite {
        tests: "crates/serve/clients",
        environment: "target/clients-python",
        needs: "the network and 500 MB of disk",
    },
    Suite {
        tests: "crates/serve/clients-haystack",
        environment: "target/haystack-python",
        needs: "the network and 400 MB of disk",
    },
    Suite {
        tests: "crates/maana/clients",
        environment: "target/share-python",
        needs: "the network and 200 MB of disk",
    },
];

/// Tests the program of `--maana`, else that of the tests.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let maana = match arguments {
        [] => built()?,
        [flag, program] if flag == "--maana" => program.into(),
        _ => bail!("cargo xtask clients takes only --maana PROGRAM"),
    };
    SUITES.iter().try_for_each(|suite| suite.run(&maana))
}

/// Runs as a part of all tests; a suite is skipped where its packages are unavailable.
pub(crate) fn in_tests() -> Result<()> {
    let maana = built()?;
    for suite in &SUITES {
        match suite.python() {
            Ok(_) => suite.run(&maana)?,
            Err(error) => println!("skipped: {}, because its packages are unavailable: {error:#}", suite.tests),
        }
    }
    Ok(())
}

fn built() -> Result<PathBuf> {
    cargo(&["test", "--workspace", "--no-run", "--quiet"])?;
    Ok(PathBuf::from("target/debug/maana"))
}

impl Suite {
    fn python(&self) -> Result<PathBuf> {
        let requirements = Path::new(self.tests).join("requirements.txt");
        python::environment(Path::new(self.environment), &requirements, self.needs)
    }

    fn run(&self, maana: &Path) -> Result<()> {
        let maana = maana.canonicalize().with_context(|| maana.display().to_string())?;
        // In offline mode Hugging Face's client sends no request, and it would send the user's own
        // token.
        run(python::pytest(&self.python()?, self.tests)
            .env("MAANA", maana)
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("HF_TOKEN")
            .env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"))
    }
}
