//! The search commands on PostgreSQL, compared with the same commands on a folder. The database is
//! that of
//! `MAANA_TEST_POSTGRES`, which `cargo xtask postgres` sets.

use crate::serve::Served;
use crate::support::{Bench, CORPUS, command, fail, golden, maana, succeed};

/// Returns the address of a store that does not exist yet, or `None` without a database.
fn address(name: &str) -> Option<String> {
    let Ok(url) = std::env::var("MAANA_TEST_POSTGRES") else {
        eprintln!("skipped: no MAANA_TEST_POSTGRES with the address of a database (`cargo xtask postgres` has one)");
        return None;
    };
    Some(format!("{url}&store=cli_{name}_{}", std::process::id()))
}

fn remove(address: &str) {
    maana::search::StoreLocation::parse(address.as_ref()).unwrap().remove().unwrap();
}

#[test]
fn every_command_prints_the_same_for_a_folder_and_a_database() {
    let Some(database) = address("same") else { return };
    let bench = Bench::new();
    bench.write("corpus.jsonl", CORPUS);
    bench.write("more.jsonl", "{\"_id\": \"a\", \"text\": \"habari mpya\"}\n{\"_id\": \"g\", \"text\": \"habari\"}\n");
    bench.write("twice.jsonl", "{\"_id\": \"x\", \"text\": \"a\"}\n{\"_id\": \"x\", \"text\": \"b\"}\n");
    bench.write("questions.txt", "bei ya mahindi\nmtoto\n\n");
    let path = |name: &str| bench.path(name).display().to_string();
    let (model, folder) = (golden("tiny-bert").display().to_string(), path("store"));
    let both = |words: &[&str]| {
        let of = |store: &str| words.iter().map(|word| word.replace("STORE", store)).collect::<Vec<_>>();
        let run = |store: &str| succeed(maana().args(of(store)));
        let (in_folder, in_database) = (run(&folder), run(&database));
        assert_eq!(in_database, in_folder, "{words:?}");
    };
    succeed(&mut command(&["index", &model, &path("corpus.jsonl"), "--out", &folder, "--keep", "lang"]));
    let output =
        succeed(&mut command(&["index", &model, &path("corpus.jsonl"), "--store", &database, "--keep", "lang"]));
    assert!(output.contains("store=cli_same_"), "{output}");
    let search = ["search", "STORE", "Soko bei ya mahindi imepanda", "--json"];
    for more in [
        &[][..],
        &["-k", "2", "--dim", "16"],
        &["-k", "9", "--filter", "lang=en"],
        &["--hybrid"],
        &["--hybrid", "--filter", "lang=sw", "-k", "2"],
        &["--recall", "0.9"],
    ] {
        both(&[&search, more].concat());
    }
    both(&["search", "STORE", "--queries", &path("questions.txt")]);
    both(&["add", "STORE", &path("more.jsonl")]);
    both(&search);
    both(&["delete", "STORE", "d", "nobody", "--ignore-missing"]);
    both(&search);
    let both_fail = |words: &[&str]| {
        let of = |store: &str| words.iter().map(|word| word.replace("STORE", store)).collect::<Vec<_>>();
        let run = |store: &str| fail(maana().args(of(store)), 1);
        (run(&folder), run(&database))
    };
    for words in [
        &["add", "STORE", &path("twice.jsonl")][..],
        &["search", "STORE", "a", "--filter", "langue=sw"],
        &["search", "STORE", "a", "--dim", "65"],
        &["delete", "STORE", "nobody", "d"],
        &["search", "STORE", "a", "--recall", "2"],
    ] {
        let (in_folder, in_database) = both_fail(words);
        assert_eq!(in_database, in_folder, "{words:?}");
    }
    let other = golden("st301/model").display().to_string();
    let (_, error) = both_fail(&["search", "STORE", "a", "--model", &other]);
    assert!(
        error.contains("tiny-bert") && error.contains("st301/model") && error.contains("store=cli_same"),
        "{error}"
    );
    let (_, error) = both_fail(&["index", &model, &path("corpus.jsonl"), "--out", "STORE"]);
    assert!(error.contains("is a store already"), "{error}");
    succeed(&mut command(&["compact", &database]));
    let info = succeed(&mut command(&["index-info", &database, "--json"]));
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!((&info["documents"], &info["header"]["dims"]), (&6.into(), &64.into()));
    assert!(succeed(&mut command(&["index-info", &database])).contains("pgvector"));
    let verified = succeed(&mut command(&["index-verify", &database]));
    assert!(verified.contains("6 documents: intact"), "{verified}");
    remove(&database);
}

#[test]
fn a_server_gives_the_same_answers_from_a_database_and_a_folder() {
    let Some(database) = address("serve") else { return };
    let bench = Bench::new();
    bench.write("corpus.jsonl", CORPUS);
    bench.write("more.jsonl", "{\"_id\": \"new\", \"text\": \"habari mpya kabisa\"}\n");
    let path = |name: &str| bench.path(name).display().to_string();
    let (model, folder) = (golden("tiny-bert").display().to_string(), path("store"));
    let stores = [folder.as_str(), database.as_str()];
    for store in stores {
        succeed(&mut command(&["index", &model, &path("corpus.jsonl"), "--out", store, "--keep", "lang"]));
    }
    let servers = stores.map(|store| Served::of(&[&model, "--port", "0", "--dims", "64,16", "--index", store]));
    let same = |body: &str| {
        let [in_folder, in_database] = servers.each_ref().map(|server| server.ask("POST", "/search", body));
        assert_eq!(in_database, in_folder, "{body}");
        in_database
    };
    same(r#"{"query": ["bei ya mahindi", "mtoto"], "k": 3, "all_dimensions": true}"#);
    same(r#"{"query": "bei ya mahindi", "hybrid": true, "filter": {"lang": "sw"}, "dimensions": 16}"#);
    let wrong = same(r#"{"query": "a", "filter": {"langue": "sw"}}"#);
    assert!(wrong["error"].as_str().unwrap().contains("the fields are: lang"), "{wrong}");
    let [in_folder, in_database] = servers.each_ref().map(|server| server.ask("GET", "/info", "")["index"].clone());
    assert_eq!(in_database, in_folder);
    assert_eq!((&in_database["dims"], &in_database["fields"]), (&64.into(), &serde_json::json!(["lang"])));
    for store in stores {
        succeed(&mut command(&["add", store, &path("more.jsonl")]));
    }
    let found = same(r#"{"query": "habari mpya kabisa", "k": 1}"#);
    assert_eq!(found["results"][0]["hits"][0]["id"], "new", "documents added later are not found");
    // A store that was created again under the same name is opened again; the server survives a
    // store that was removed.
    remove(&database);
    let gone = servers[1].ask("POST", "/search", r#"{"query": "a"}"#);
    assert_eq!(gone["error_type"], "unhealthy", "{gone}");
    assert_eq!(servers[1].ask("GET", "/info", "")["index"]["documents"], serde_json::Value::Null);
    succeed(&mut command(&["index", &model, &path("corpus.jsonl"), "--out", &database, "--keep", "lang"]));
    let again = servers[1].ask("POST", "/search", r#"{"query": "bei ya mahindi", "k": 1}"#);
    assert_eq!(again["results"][0]["hits"].as_array().unwrap().len(), 1);
    drop(servers);
    remove(&database);
}

#[test]
fn a_failed_index_leaves_no_store_in_the_database() {
    let Some(database) = address("nothing") else { return };
    let bench = Bench::new();
    bench.write("empty.jsonl", "");
    let model = golden("tiny-bert").display().to_string();
    let empty = bench.path("empty.jsonl").display().to_string();
    let error = fail(&mut command(&["index", &model, &empty, "--store", &database]), 1);
    assert!(error.contains("empty.jsonl"), "{error}");
    let error = fail(&mut command(&["search", &database, "a"]), 1);
    assert!(error.contains("no store of this name"), "{error}");
}

#[test]
fn a_larger_database_is_searched_with_its_index() {
    let Some(database) = address("size") else { return };
    let bench = Bench::new();
    let words = ["bei", "mahindi", "mtoto", "mpira", "king", "house", "old", "soko", "habari", "asante"];
    let line = |number: usize| {
        let text: Vec<&str> = (0..4).map(|digit| words[number / 10usize.pow(digit) % 10]).collect();
        format!(
            "{{\"_id\": \"{number}\", \"text\": \"{}\", \"even\": \"{}\"}}\n",
            text.join(" "),
            number.is_multiple_of(2)
        )
    };
    bench.write("many.jsonl", &(0..1200).map(line).collect::<String>());
    let model = golden("tiny-bert").display().to_string();
    let many = bench.path("many.jsonl").display().to_string();
    succeed(&mut command(&["index", &model, &many, "--store", &database, "--keep", "even"]));
    let search = |more: &[&str]| {
        let words = [&["search", &database, "bei ya mahindi", "--recall", "0.9"], more].concat();
        let output = command(&words).output().unwrap();
        assert!(output.status.success());
        (crate::support::text(&output.stdout), crate::support::text(&output.stderr))
    };
    assert!(search(&[]).1.contains("`maana compact` builds one"), "{}", search(&[]).1);
    let exact = search(&["-k", "1"]).0;
    let output = succeed(&mut command(&["compact", &database]));
    assert!(output.contains("an index over vectors by"), "{output}");
    let (found, how) = search(&["-k", "1"]);
    assert!(how.contains("measured on") && found == exact, "{how}\n{found}\n{exact}");
    assert!(search(&["--filter", "even=true"]).1.contains("does not support filters"));
    assert!(succeed(&mut command(&["index-info", &database])).contains("recall of 10 hits by shortlist"));
    remove(&database);
}

#[test]
fn errors_about_addresses_do_not_contain_the_password() {
    for (address, expected) in [
        ("postgres://me:secret@127.0.0.1:1/x?sslmode=disable", "cannot connect"),
        ("postgres://me:secret@h/x?sslmode=often", "use disable, prefer, require or verify-full"),
        ("postgres://me:secret@h/x?store=", "is empty"),
    ] {
        for words in [
            &["search", address, "a"][..],
            &["delete", address, "a"],
            &["index-info", address],
            &["index-verify", address],
            &["compact", address],
            &["index", "no/model", "no.jsonl", "--store", address],
        ] {
            let error = fail(&mut command(words), 1);
            assert!(error.contains(expected) && !error.contains("secret"), "{words:?}: {error}");
        }
    }
}
