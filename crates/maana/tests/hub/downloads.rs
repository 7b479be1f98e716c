//! Downloads that are cut, continued, damaged or changed.

use super::*;

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
