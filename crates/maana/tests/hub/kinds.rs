//! Kinds of repositories, and the files of each that are fetched.

use super::*;

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
