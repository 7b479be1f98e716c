//! Steps whose results lie in one folder: an interrupted series continues after its last result.

use crate::command::output;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// File of the settings, and of the seconds of each step that has ended.
const STEPS: &str = "steps.json";

/// Folder of results, with the program that makes them.
pub(super) struct Steps {
    maana: PathBuf,
    out: PathBuf,
    settings: Value,
    seconds: Map<String, Value>,
}

impl Steps {
    /// Opens a folder of results. Results of other settings are an error.
    pub(super) fn open(maana: PathBuf, out: PathBuf, settings: Value) -> Result<Self> {
        std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
        let path = out.join(STEPS);
        let mut seconds = Map::new();
        if path.exists() {
            let earlier: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
            if earlier["settings"] != settings {
                bail!(
                    "{} has results of other options, data or recipes; remove it, or choose another folder with --out",
                    out.display()
                );
            }
            seconds = earlier["seconds"].as_object().cloned().unwrap_or_default();
        }
        let steps = Self { maana, out, settings, seconds };
        steps.write(STEPS, &steps.record())?;
        Ok(steps)
    }

    /// Returns the path of a result.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// Returns the seconds of all steps, in their order.
    pub(super) fn seconds(&self) -> &Map<String, Value> {
        &self.seconds
    }

    /// Writes a file of JSON into the folder.
    pub(super) fn write(&self, name: &str, value: &Value) -> Result<()> {
        let path = self.path(name);
        maana_files::write(&path, format!("{value:#}\n")).with_context(|| path.display().to_string())
    }

    /// Runs a command of `maana` in the folder unless its result exists, and records its time.
    pub(super) fn run(&mut self, title: &str, result: &str, arguments: &[&str]) -> Result<()> {
        if self.seconds.contains_key(title) && self.path(result).exists() {
            return Ok(());
        }
        println!("{title}");
        let began = Instant::now();
        let mut command = Command::new(&self.maana);
        output(command.current_dir(&self.out).args(arguments))?;
        self.seconds.insert(title.into(), began.elapsed().as_secs_f64().round().into());
        self.write(STEPS, &self.record())
    }

    /// Trains with a recipe of a folder. A run that was interrupted continues.
    pub(super) fn train(&mut self, title: &str, recipes: &Path, recipe: &str, settings: &[String]) -> Result<()> {
        let file = format!("{recipe}.toml");
        let from = recipes.join(&file);
        std::fs::copy(&from, self.path(&file)).with_context(|| from.display().to_string())?;
        let resume = self.path(recipe).join("recipe.toml").exists();
        let mut arguments = vec!["train", file.as_str(), "--out", recipe];
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
        arguments.extend(resume.then_some("--resume"));
        self.run(title, &format!("{recipe}/model"), &arguments)
    }

    /// Reads a result in JSON.
    pub(super) fn json(&self, name: &str) -> Result<Value> {
        let path = self.path(name);
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    fn record(&self) -> Value {
        serde_json::json!({"settings": self.settings, "seconds": self.seconds})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_run_once_and_results_of_other_settings_are_refused() {
        let out = std::env::temp_dir().join(format!("maana-steps-{}", std::process::id()));
        let open = |seed: u64| Steps::open(PathBuf::from("/bin/cp"), out.clone(), json!({"seed": seed}));
        let mut steps = open(1).unwrap();
        std::fs::write(steps.path("first"), "1").unwrap();
        steps.run("copy", "second", &["first", "second"]).unwrap();
        std::fs::write(steps.path("first"), "2").unwrap();
        let mut steps = open(1).unwrap();
        steps.run("copy", "second", &["first", "second"]).unwrap();
        assert_eq!(steps.json("second").unwrap(), json!(1));
        assert!(steps.seconds().contains_key("copy"));
        // A result that is gone is made again.
        std::fs::remove_file(steps.path("second")).unwrap();
        steps.run("copy", "second", &["first", "second"]).unwrap();
        assert_eq!(steps.json("second").unwrap(), json!(2));
        let error = open(2).err().expect("other settings").to_string();
        assert!(error.contains("other options"), "{error}");
        std::fs::remove_dir_all(&out).unwrap();
    }
}
