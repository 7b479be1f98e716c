//! Pushing models.

use crate::options;
use crate::server::{Fault, Files, Hub, ID, Request, model};
use crate::writing::Commit;
use maana::hub::{HubError, HubEvent, HubOptions, PushPlan, PushSettings, Pushed, Token, plan_push, push, resolve};
use std::path::PathBuf;

const WEIGHTS: &str = "model.safetensors";
const SECRET: &str = "hf_a-secret";

/// A model in a folder, a hub, and what was said.
struct Test {
    hub: Hub,
    folder: tempfile::TempDir,
    options: HubOptions,
    notices: Vec<String>,
    /// Bytes of the last event, and of all.
    progress: Option<(u64, u64)>,
}

impl Test {
    fn new(hub: Hub, files: &Files) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&hub.endpoint, &folder.path().join(".cache"));
        options.token = Token::new(SECRET);
        let test = Self { hub, folder, options, notices: Vec::new(), progress: None };
        files.iter().for_each(|(name, bytes)| test.write(name, bytes));
        test
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("model").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn push(&mut self, settings: &PushSettings) -> Result<Pushed, HubError> {
        let (notices, progress) = (&mut self.notices, &mut self.progress);
        push(&self.folder.path().join("model"), ID, settings, &self.options, &mut |event| match event {
            HubEvent::Notice(text) => notices.push(text.to_owned()),
            HubEvent::Progress { done, total } => *progress = Some((done, total)),
        })
    }

    fn plan(&self, settings: &PushSettings) -> Result<PushPlan, HubError> {
        plan_push(&self.folder.path().join("model"), ID, settings, &self.options, &mut |_| {})
    }

    /// Pushes, and returns the message of the error, which has no secrets.
    fn error(&mut self) -> String {
        let text = self.push(&PushSettings::default()).unwrap_err().to_string();
        for said in self.notices.iter().chain([&text]) {
            assert!(!said.contains(SECRET) && !said.contains("secret-signature"), "{said}");
        }
        text
    }

    fn assert_pushed(&self, files: &Files) {
        let found = self.hub.with(|repository| repository.files.clone());
        assert!(found == *files, "{:?}", found.keys());
    }
}

fn empty() -> Hub {
    Hub::sound(Files::new())
}

/// Returns the files of a model that belong to it.
fn files() -> Files {
    let mut files = model(300_000);
    files.retain(|name, _| name != "trainer_state.json" && !name.starts_with("onnx/"));
    files
}

fn is_upload(request: &Request) -> bool {
    request.storage && request.method == "PUT"
}

#[test]
fn a_pushed_model_is_what_was_on_the_disk_and_can_be_fetched() {
    let mut test = Test::new(empty(), &files());
    test.write("checkpoint-7/model.safetensors", b"not wanted");
    test.write("trainer_state.json", b"not wanted");
    let pushed = test.push(&PushSettings { private: true, ..PushSettings::default() }).unwrap();
    let address = format!("{}/{ID}/commit/1", test.hub.endpoint);
    assert_eq!(pushed, Pushed { address, files: files().len(), unchanged: 0 });
    test.assert_pushed(&files());
    assert!(test.hub.with(|repository| repository.private));
    let names: Vec<String> = files().keys().cloned().collect();
    let summary = "Add new SentenceTransformer model".to_owned();
    let expected = Commit { branch: "main".into(), summary, pull_request: false, files: names };
    assert_eq!(test.hub.with(|repository| repository.commits.clone()), [expected]);
    let large = files()
        .iter()
        .filter(|(name, _)| name.ends_with("s") || name.ends_with("bin"))
        .map(|(_, bytes)| bytes.len())
        .sum::<usize>();
    assert_eq!(test.progress, Some((large as u64, large as u64)));
    assert!(
        test.notices.iter().any(|notice| notice.contains("checkpoint-7, trainer_state.json")),
        "{:?}",
        test.notices
    );
    for request in test.hub.log() {
        let token = format!("Bearer {SECRET}");
        assert_eq!(request.token, (!request.storage).then_some(token), "{request:?}");
        assert!(!String::from_utf8_lossy(&request.body).contains(SECRET));
    }
    let resolved = resolve(ID, &test.options, &mut |_| {}).unwrap();
    assert!(std::fs::read(resolved.folder.join(WEIGHTS)).unwrap() == files()[WEIGHTS]);
}

#[test]
fn files_that_the_hub_has_are_not_sent_again() {
    let mut test = Test::new(empty(), &files());
    test.push(&PushSettings::default()).unwrap();
    let before = test.hub.log().len();
    let pushed = test.push(&PushSettings::default()).unwrap();
    assert_eq!((pushed.files, pushed.unchanged), (0, files().len()));
    assert_eq!(pushed.address, format!("{}/{ID}", test.hub.endpoint));
    let later = test.hub.log().split_off(before);
    assert!(!later.iter().any(|request| request.storage || request.path.contains("/commit/")), "{later:?}");

    // Only what has changed is committed.
    test.write("config.json", b"{\"model_type\": \"other\"}");
    let settings = PushSettings { message: Some("second".into()), ..PushSettings::default() };
    assert_eq!(test.push(&settings).unwrap().files, 1);
    let last = test.hub.with(|repository| repository.commits.last().cloned().unwrap());
    assert_eq!((last.summary.as_str(), last.files), ("second", vec!["config.json".to_owned()]));
}

#[test]
fn a_card_that_is_kept_counts_as_unchanged() {
    let mut test = Test::new(empty(), &files());
    test.push(&PushSettings::default()).unwrap();
    test.write("README.md", b"# Another card\n");
    let settings = PushSettings { keep_card: true, ..PushSettings::default() };
    assert_eq!(test.push(&settings).unwrap().files, 0);
    assert_eq!(test.push(&PushSettings::default()).unwrap().files, 1);
}

#[test]
fn a_file_in_parts_is_whole_even_if_parts_fail() {
    let hub = Hub::new(Files::new(), |request| match request.before {
        0 if is_upload(request) && request.path.ends_with("/2") => Fault::Drop(20_000),
        0 if is_upload(request) && request.path.ends_with("/3") => Fault::Answer(503, "slow down".into()),
        _ => Fault::None,
    });
    hub.with(|repository| repository.part = Some(70_000));
    let mut test = Test::new(hub, &files());
    test.push(&PushSettings::default()).unwrap();
    test.assert_pushed(&files());
    // 300,000 bytes in 5 parts, of which two were sent twice, and a small file in one.
    assert_eq!(test.hub.count(is_upload), 5 + 2 + 1);
    assert_eq!(test.hub.count(|request| request.path.ends_with("/complete")), 2);
}

#[test]
fn expired_addresses_are_asked_for_again() {
    for part in [None, Some(100_000)] {
        let hub = Hub::new(Files::new(), |request| match request.before {
            0 if is_upload(request) => Fault::Answer(403, "Request has expired".into()),
            _ => Fault::None,
        });
        hub.with(|repository| repository.part = part);
        let mut test = Test::new(hub, &files());
        test.options.retries = 6;
        test.push(&PushSettings::default()).unwrap();
        test.assert_pushed(&files());
    }
}

#[test]
fn an_interrupted_push_continues_with_the_files_that_have_not_arrived() {
    let hub = Hub::new(Files::new(), |request| match request.before {
        // The second large file fails in each attempt of the first push.
        before
            if is_upload(request) && request.path.ends_with(&crate::sha256(&model(300_000)["pytorch_model.bin"])) =>
        {
            if before < 3 {
                Fault::Drop(100)
            } else {
                Fault::None
            }
        }
        _ => Fault::None,
    });
    let mut test = Test::new(hub, &files());
    let error = test.error();
    assert!(error.contains("run the same command again"), "{error}");
    assert!(
        test.hub.with(|repository| repository.files.is_empty() && repository.commits.is_empty()),
        "nothing is visible"
    );
    let weights = |request: &Request| is_upload(request) && request.path.ends_with(&crate::sha256(&files()[WEIGHTS]));
    assert_eq!(test.hub.count(weights), 1);
    test.push(&PushSettings::default()).unwrap();
    test.assert_pushed(&files());
    assert_eq!(test.hub.count(weights), 1, "the weights had arrived");
}

#[test]
fn a_lost_answer_to_a_commit_makes_no_second_one() {
    let lost = |request: &Request| match request.before {
        0 if request.path.contains("/commit/") => Fault::Lost,
        _ => Fault::None,
    };
    let mut test = Test::new(Hub::new(Files::new(), lost), &files());
    let pushed = test.push(&PushSettings::default()).unwrap();
    assert_eq!((pushed.files, pushed.unchanged), (0, files().len()));
    assert_eq!(test.hub.with(|repository| repository.commits.len()), 1);
    test.assert_pushed(&files());
    // A pull request is not opened twice.
    let mut test = Test::new(Hub::new(files(), lost), &files());
    test.write("config.json", b"{}");
    let settings = PushSettings { pull_request: true, ..PushSettings::default() };
    test.push(&settings).unwrap_err();
    assert_eq!(test.hub.with(|repository| repository.commits.len()), 1);
}

#[test]
fn a_busy_hub_and_a_conflicting_commit_are_tried_again() {
    let hub = Hub::new(Files::new(), |request| match request.before {
        0 if request.path.ends_with("/batch") => Fault::Status(429, vec![("Retry-After", "0".into())]),
        0 if request.path.contains("/preupload/") => Fault::Answer(502, String::new()),
        0 if request.path.contains("/commit/") => {
            Fault::Answer(412, r#"{"error": "A commit has happened since. Please refresh and try again."}"#.into())
        }
        _ => Fault::None,
    });
    let mut test = Test::new(hub, &files());
    test.push(&PushSettings::default()).unwrap();
    test.assert_pushed(&files());
    assert!(
        test.notices.iter().any(|notice| notice.contains("status 412: A commit has happened")),
        "{:?}",
        test.notices
    );
}

#[test]
fn branches_and_pull_requests() {
    let mut test = Test::new(Hub::sound(files()), &files());
    test.write("config.json", b"{}");
    let branch = PushSettings { revision: Some("second/try".into()), ..PushSettings::default() };
    for _ in 0..2 {
        test.push(&branch).unwrap();
    }
    let pull = PushSettings { pull_request: true, ..PushSettings::default() };
    test.write("config.json", b"{\"a\": 1}");
    let pushed = test.push(&pull).unwrap();
    assert_eq!(pushed.address, format!("{}/{ID}/discussions/2", test.hub.endpoint));
    let commits = test.hub.with(|repository| repository.commits.clone());
    let seen: Vec<_> = commits.iter().map(|commit| (commit.branch.as_str(), commit.pull_request)).collect();
    assert_eq!(seen, [("second/try", false), ("main", true)]);
    assert!(
        test.hub
            .log()
            .iter()
            .filter(|request| request.path.contains("preupload/main"))
            .all(|request| request.query == "create_pr=1")
    );
    let wrong = PushSettings { revision: Some("../x".into()), ..PushSettings::default() };
    assert!(test.push(&wrong).unwrap_err().to_string().contains("cannot be the name of a branch"));
}

#[test]
fn a_plan_changes_nothing() {
    let mut there = files();
    there.insert(WEIGHTS.into(), b"others".to_vec());
    let mut test = Test::new(Hub::sound(there.clone()), &files());
    test.write("ignored.txt", b"by the repository");
    test.write(".hidden", b"x");
    let plan = test.plan(&PushSettings::default()).unwrap();
    let sent: Vec<&str> = plan.files.iter().filter(|file| !file.unchanged).map(|file| file.name.as_str()).collect();
    assert_eq!((plan.new, sent), (false, vec![WEIGHTS]));
    assert_eq!(plan.left_out, [".hidden", "ignored.txt"]);
    test.assert_pushed(&there);
    let elsewhere = PushSettings { revision: Some("new".into()), ..PushSettings::default() };
    assert_eq!(test.plan(&elsewhere).unwrap().files.len(), files().len() + 1);
    let reads =
        |request: &Request| matches!(request.method.as_str(), "GET" | "HEAD") || request.path.contains("/preupload/");
    assert!(test.hub.log().iter().all(reads), "{:?}", test.hub.log());
    assert!(test.notices.is_empty());
    test.hub = empty();
    test.options.endpoint = test.hub.endpoint.clone();
    let plan = test.plan(&PushSettings::default()).unwrap();
    assert!(plan.new && plan.files.iter().all(|file| !file.unchanged));
}

#[test]
fn refusals_are_explained_without_secrets() {
    let said = |status: u16| {
        let body = format!(r#"{{"error": "no, {SECRET}!"}}"#);
        move |_: &Request| Fault::Answer(status, body.clone())
    };
    let on = |route: &'static str, status: u16, more: &[&str]| {
        let fault = said(status);
        let faults = move |request: &Request| if request.path.contains(route) { fault(request) } else { Fault::None };
        let mut test = Test::new(Hub::new(Files::new(), faults), &files());
        let error = test.error();
        for part in more {
            assert!(error.contains(part), "{route} {status}: {error}");
        }
        assert!(test.hub.with(|repository| repository.commits.is_empty()));
    };
    on("/api/repos/create", 401, &["needs a valid token", "HF_TOKEN", "no, (token)!"]);
    on("/api/repos/create", 403, &["may not write to", "write access", "status 403", "no, (token)!"]);
    on("/preupload/", 403, &["may not write to"]);
    on("/preupload/", 404, &["may not write to"]);
    on("/preupload/", 418, &["rejects the request", "status 418"]);
    on("/preupload/", 500, &["the server failed", "status 500"]);
    on("/commit/", 413, &["too large", "status 413"]);
    on("/commit/", 400, &["rejects the request", "no, (token)!"]);
    on("/batch", 403, &["may not write to"]);
    on("/verify", 404, &["status 404"]);
    let yaml = |request: &Request| match request.path.as_str() {
        "/api/validate-yaml" => Fault::Answer(400, r#"{"errors": [{"message": "\"license\" must be one of"}]}"#.into()),
        _ => Fault::None,
    };
    let mut test = Test::new(Hub::new(Files::new(), yaml), &files());
    let error = test.error();
    assert!(error.contains("README.md") && error.contains("\"license\" must be one of"), "{error}");
    assert!(!test.hub.with(|repository| repository.exists), "the card is checked first");
    // The batch API refuses single files in a successful answer.
    let batch = |request: &Request| match request.path.ends_with("/batch") {
        true => {
            let object = |message: &str| {
                format!(
                    r#"{{"oid": "{}", "size": 1, "error": {{"code": 413, "message": "{message}"}}}}"#,
                    crate::sha256(&files()[WEIGHTS])
                )
            };
            Fault::Answer(200, format!(r#"{{"objects": [{}]}}"#, object("over the limit")))
        }
        false => Fault::None,
    };
    let error = Test::new(Hub::new(Files::new(), batch), &files()).error();
    assert!(error.contains("too large") && error.contains("over the limit"), "{error}");
}

#[test]
fn a_wrong_token_a_public_repository_and_missing_networks_are_explained() {
    let wrong = |_: &Request| {
        let message = "Invalid credentials in Authorization header";
        Fault::Status(401, vec![("X-Error-Message", message.into())])
    };
    let mut test = Test::new(Hub::new(files(), wrong), &files());
    std::fs::remove_file(test.path("README.md")).unwrap();
    let error = test.error();
    assert!(error.contains("needs a valid token") && error.contains("Invalid credentials"), "{error}");
    test.options.token = None;
    let requests = test.hub.log().len();
    assert!(test.error().contains("HF_TOKEN"));
    assert_eq!(test.hub.log().len(), requests);

    let mut test = Test::new(Hub::sound(files()), &files());
    let private = PushSettings { private: true, ..PushSettings::default() };
    for error in [test.push(&private).unwrap_err(), test.plan(&private).unwrap_err()] {
        assert!(matches!(error, HubError::Public { .. }), "{error}");
    }
    assert!(test.hub.with(|repository| repository.commits.is_empty()));
    test.options.endpoint = "http://127.0.0.1:9".into();
    let error = test.error();
    assert!(error.contains("cannot be reached") && error.contains("HF_ENDPOINT"), "{error}");
    test.options.offline = Some("HF_HUB_OFFLINE".into());
    assert!(test.error().contains("unset it to push"));
    for name in ["name", "a/b/c", "../x", "org/na me"] {
        let error = push(test.folder.path(), name, &private, &test.options, &mut |_| {}).unwrap_err();
        assert!(matches!(error, HubError::PushName(_)), "{name}: {error}");
    }
}

#[test]
fn files_that_change_meanwhile_are_not_committed() {
    for (name, step) in [(WEIGHTS, "/batch"), (WEIGHTS, "/verify"), ("config.json", "/batch")] {
        let target = std::sync::Arc::new(std::sync::Mutex::new(PathBuf::new()));
        let seen = std::sync::Arc::clone(&target);
        let hub = Hub::new(Files::new(), move |request| {
            if request.path.ends_with(step) {
                std::fs::write(&*seen.lock().unwrap(), "changed").unwrap();
            }
            Fault::None
        });
        let mut test = Test::new(hub, &files());
        *target.lock().unwrap() = test.path(name);
        let error = test.error();
        assert!(error.contains(name) && error.contains("changed while it was pushed"), "{name} {step}: {error}");
        assert!(test.hub.with(|repository| repository.commits.is_empty()), "{name} {step}");
    }
}

#[test]
fn servers_that_do_not_follow_the_protocol_are_reported() {
    for (route, answer) in [
        ("/preupload/", "{}"),
        ("/preupload/", "not JSON"),
        ("/batch", r#"{"objects": []}"#),
        ("/batch", "[]"),
        ("/commit/", "{}"),
    ] {
        let faults = move |request: &Request| match request.path.contains(route) {
            true => Fault::Answer(200, answer.into()),
            false => Fault::None,
        };
        let error = Test::new(Hub::new(Files::new(), faults), &files()).error();
        assert!(error.contains("is HF_ENDPOINT the address of a hub?"), "{route} {answer}: {error}");
    }
}
