//! The routes of the hub that write.

use crate::server::{Answer, Files, ID, Request, etag, sha256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A commit that the hub received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Commit {
    pub(crate) branch: String,
    pub(crate) summary: String,
    pub(crate) pull_request: bool,
    pub(crate) files: Vec<String>,
}

/// The repository of the hub.
pub(crate) struct Repository {
    pub(crate) exists: bool,
    pub(crate) private: bool,
    pub(crate) files: Files,
    pub(crate) branches: Vec<String>,
    pub(crate) commits: Vec<Commit>,
    /// Bytes of the parts of uploads. Default: whole files.
    pub(crate) part: Option<usize>,
    /// Large files by their SHA-256.
    pub(crate) stored: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<(String, usize), Vec<u8>>,
    endpoint: String,
    storage: String,
}

impl Repository {
    pub(crate) fn with(files: Files, endpoint: &str, storage: &str) -> Self {
        Self {
            exists: !files.is_empty(),
            private: false,
            files,
            branches: vec!["main".into()],
            commits: Vec::new(),
            part: None,
            stored: BTreeMap::new(),
            parts: BTreeMap::new(),
            endpoint: endpoint.into(),
            storage: storage.into(),
        }
    }

    /// Obeys a request with a body.
    pub(crate) fn change(&mut self, request: &Request) -> Answer {
        if request.storage {
            return self.store(request);
        }
        let lines: Vec<Value> =
            request.body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let body = lines.first().cloned().unwrap_or_default();
        if request.path == "/api/repos/create" {
            assert_eq!(
                (&body["organization"], &body["name"], &body["type"]),
                (&json!("org"), &json!("name"), &json!("model"))
            );
            self.exists = true;
            self.private = body["visibility"] == "private";
            return Answer::json(200, json!({"url": format!("{}/{ID}", self.endpoint)}).to_string());
        }
        if request.path == "/api/validate-yaml" {
            assert_eq!(body["repoType"], "model");
            let warned = body["content"].as_str().unwrap().contains("unusual");
            let warnings = if warned { json!([{"message": "an unusual key"}]) } else { json!([]) };
            return Answer::json(200, json!({"errors": [], "warnings": warnings}).to_string());
        }
        if !self.exists {
            return Answer::error(404, "RepoNotFound");
        }
        if let Some(route) = request.path.strip_prefix(&format!("/{ID}.git/info/lfs/")) {
            return self.large(route, &body);
        }
        let Some(route) = request.path.strip_prefix(&format!("/api/models/{ID}/")) else {
            return Answer::error(404, "NoRoute");
        };
        let (route, branch) = route.split_once('/').unwrap();
        let branch = branch.replace("%2F", "/");
        match route {
            "branch" if self.branches.contains(&branch) => {
                Answer::json(409, r#"{"error": "Reference already exists"}"#.into())
            }
            "branch" => {
                self.branches.push(branch);
                Answer::json(200, "{}".into())
            }
            _ if !self.branches.contains(&branch) => Answer::error(404, "RevisionNotFound"),
            "preupload" => self.preupload(&body),
            "commit" => self.commit(branch, request.query == "create_pr=1", &lines),
            _ => Answer::error(404, "NoRoute"),
        }
    }

    fn preupload(&self, body: &Value) -> Answer {
        let mode = |file: &Value| {
            let name = file["path"].as_str().unwrap();
            let sample = STANDARD.decode(file["sample"].as_str().unwrap()).unwrap();
            assert_eq!(sample.len() as u64, file["size"].as_u64().unwrap().min(512), "{name}");
            let large = name.ends_with(".safetensors") || name.ends_with(".bin");
            json!({
                "path": name,
                "uploadMode": if large { "lfs" } else { "regular" },
                "shouldIgnore": name == "ignored.txt",
                "oid": self.files.get(name).map(|bytes| etag(name, bytes)),
            })
        };
        let modes: Vec<Value> = body["files"].as_array().unwrap().iter().map(mode).collect();
        Answer::json(200, json!({"files": modes}).to_string())
    }

    fn large(&mut self, route: &str, body: &Value) -> Answer {
        let of = |oid: &Value| oid.as_str().unwrap().to_owned();
        match route {
            "objects/batch" => {
                assert_eq!((&body["operation"], &body["hash_algo"]), (&json!("upload"), &json!("sha256")));
                let objects: Vec<Value> =
                    body["objects"].as_array().unwrap().iter().map(|object| self.actions(object)).collect();
                Answer::json(200, json!({"transfer": "basic", "objects": objects}).to_string())
            }
            "complete" => {
                let oid = of(&body["oid"]);
                let mut whole = Vec::new();
                for (index, part) in body["parts"].as_array().unwrap().iter().enumerate() {
                    assert_eq!(
                        (&part["partNumber"], &part["etag"]),
                        (&json!(index + 1), &json!(format!("\"part-{}\"", index + 1)))
                    );
                    whole.extend(self.parts.remove(&(oid.clone(), index + 1)).expect("each part has arrived"));
                }
                self.stored.insert(oid, whole);
                Answer::json(200, "{}".into())
            }
            "verify" => {
                let stored = self.stored.get(&of(&body["oid"])).map(|bytes| bytes.len() as u64);
                let status = if stored == body["size"].as_u64() { 200 } else { 404 };
                Answer::json(status, "{}".into())
            }
            _ => Answer::error(404, "NoRoute"),
        }
    }

    fn actions(&self, object: &Value) -> Value {
        let (oid, size) = (object["oid"].as_str().unwrap(), object["size"].as_u64().unwrap());
        if self.stored.contains_key(oid) {
            return json!({"oid": oid, "size": size});
        }
        let lfs = format!("{}/{ID}.git/info/lfs", self.endpoint);
        let upload = match self.part {
            None => json!({"href": format!("{}/{oid}?X-Signature=secret-signature", self.storage)}),
            Some(part) => {
                let mut header = json!({"chunk_size": part.to_string()});
                for number in 1..=size.div_ceil(part as u64) {
                    let href = format!("{}/{oid}/{number}?X-Signature=secret-signature", self.storage);
                    header[format!("{number:05}")] = json!(href);
                }
                json!({"href": format!("{lfs}/complete"), "header": header})
            }
        };
        let verify = json!({"href": format!("{lfs}/verify")});
        json!({"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}})
    }

    fn store(&mut self, request: &Request) -> Answer {
        assert_eq!((request.method.as_str(), request.token.as_deref()), ("PUT", None));
        let path = request.path.trim_start_matches('/');
        let etag = match path.split_once('/') {
            Some((oid, part)) => {
                let number = part.parse().unwrap();
                self.parts.insert((oid.into(), number), request.body.clone());
                format!("\"part-{number}\"")
            }
            None => {
                self.stored.insert(path.into(), request.body.clone());
                "\"whole\"".into()
            }
        };
        Answer { status: 200, headers: vec![("ETag", etag)], body: Vec::new() }
    }

    fn commit(&mut self, branch: String, pull_request: bool, lines: &[Value]) -> Answer {
        assert_eq!(lines[0]["key"], "header");
        let mut names = Vec::new();
        for line in &lines[1..] {
            let value = &line["value"];
            let name = value["path"].as_str().unwrap().to_owned();
            let bytes = match line["key"].as_str().unwrap() {
                "file" => STANDARD.decode(value["content"].as_str().unwrap()).unwrap(),
                "lfsFile" => {
                    let bytes = self.stored[value["oid"].as_str().unwrap()].clone();
                    assert_eq!(value["oid"], sha256(&bytes), "the storage has what the commit says");
                    bytes
                }
                other => panic!("{other}"),
            };
            names.push(name.clone());
            self.files.insert(name, bytes);
        }
        let summary = lines[0]["value"]["summary"].as_str().unwrap().to_owned();
        self.commits.push(Commit { branch, summary, pull_request, files: names });
        let number = self.commits.len();
        let mut answer = json!({"commitOid": "c", "commitUrl": format!("{}/{ID}/commit/{number}", self.endpoint)});
        if pull_request {
            answer["pullRequestUrl"] = json!(format!("{}/{ID}/discussions/{number}", self.endpoint));
        }
        Answer::json(200, answer.to_string())
    }
}
