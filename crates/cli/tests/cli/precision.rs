//! The precision of commands, and where it is recorded.

use crate::support::{Bench, CORPUS, command, fail, golden, maana, succeed};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

const FINGERPRINT_F32: &str = "277fd17f2b8f6a7fcc70bc08038278f05545bb3419f8e5ab4d98f2ef466f5468";
const FINGERPRINT_INT8: &str = "cfff19ecb8065e22baf44336ffdfa6ec3615ee677706ff021f2f5b38b3b0e873";
const INSTRUCTION_SETS: [&str; 6] = ["portable", "neon", "avx2", "avx512", "avx512vnni", "avx512bf16"];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// `MAANA_ISA` limits the choice of `auto`, too.
#[test]
fn the_default_is_f32_and_auto_follows_the_active_instruction_set() {
    for set in INSTRUCTION_SETS {
        let info = |words: &[&str]| {
            let mut command = maana();
            command.env("MAANA_ISA", set).arg("info").arg(golden("tiny-bert")).arg("--json").args(words);
            json(&succeed(&mut command))
        };
        let (default, auto) = (info(&[]), info(&["--precision", "auto"]));
        assert_eq!(default["precision"], "f32", "{set}");
        let expected = if auto["instructions"] == "avx512bf16" { "bf16" } else { "f32" };
        assert_eq!(auto["precision"], expected, "{set}: {auto}");
    }
}

#[test]
fn a_store_records_its_precision_and_add_uses_it() {
    let bench = Bench::new();
    bench.write("corpus.jsonl", CORPUS);
    bench.write("more.jsonl", "{\"_id\": \"g\", \"text\": \"habari ya asubuhi\"}\n");
    let (corpus, more) = (bench.path("corpus.jsonl"), bench.path("more.jsonl"));
    for (arguments, expected) in [(&[][..], "f32"), (&["--precision", "int8"], "int8")] {
        let store = bench.path(expected);
        let mut index = command(&["index"]);
        index.arg(golden("tiny-bert")).arg(&corpus).arg("--out").arg(&store).args(arguments);
        succeed(&mut index);
        succeed(command(&["add"]).arg(&store).arg(&more));
        let info = succeed(command(&["index-info"]).arg(&store));
        assert!(info.contains(&format!("precision    {expected}\n")), "{info}");
        let info = json(&succeed(command(&["index-info"]).arg(&store).arg("--json")));
        assert_eq!((&info["header"]["precision"], &info["documents"]), (&expected.into(), &7.into()));
        assert!(succeed(command(&["search"]).arg(&store).arg("bei ya mahindi")).contains("mahindi"));
    }
    let error = fail(command(&["add"]).arg(bench.path("int8")).arg(&more).args(["--precision", "f32"]), 1);
    assert!(error.contains("computed in int8") && error.contains("omit --precision"), "{error}");
}

#[test]
fn a_classifier_records_its_precision_and_one_without_it_opens() {
    let bench = Bench::new();
    let rows = ["bei ya mahindi,soko", "mtoto anacheza,nyumba", "bei ya maharage,soko", "watoto wanacheza,nyumba"];
    bench.write("train.csv", &format!("text,label\n{}\n", rows.join("\n")));
    let folder = bench.path("classifier");
    let mut fit = command(&["classify", "fit"]);
    fit.arg(bench.path("train.csv")).arg("--model").arg(golden("tiny-bert")).args(["--nearest", "1", "--out"]);
    succeed(fit.arg(&folder));
    let file = folder.join("classifier.json");
    let mut classifier = json(&std::fs::read_to_string(&file).unwrap());
    // As an earlier version wrote it.
    assert_eq!(classifier.as_object_mut().unwrap().remove("precision"), Some("f32".into()));
    assert!(classifier.as_object_mut().unwrap().remove("checksum").is_some());
    std::fs::write(&file, classifier.to_string()).unwrap();
    let mut predict = command(&["classify", "predict"]);
    predict.arg(bench.path("train.csv")).arg("--classifier").arg(&folder);
    assert!(succeed(&mut predict).starts_with("soko\t"));
}

#[test]
fn saved_scores_record_their_precision() {
    let bench = Bench::new();
    for precision in ["f32", "bf16", "int8"] {
        let (file, folder) = (bench.path(&format!("{precision}.json")), bench.path("csv"));
        let mut evaluate = command(&["evaluate", "--precision", precision]);
        evaluate.arg(golden("tiny-bert")).arg(bench.path("dev")).arg("--json").arg(&file).arg("--csv").arg(&folder);
        succeed(&mut evaluate);
        assert_eq!(json(&std::fs::read_to_string(&file).unwrap())["precision"], precision);
    }
    let table = std::fs::read_dir(bench.path("csv")).unwrap().next().unwrap().unwrap().path();
    let table = std::fs::read_to_string(table).unwrap();
    let last: Vec<&str> = table.lines().filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!(last, ["precision", "f32", "bf16", "int8"]);
}

/// These hashes are compared between machines; here each instruction set replaces a machine.
#[test]
fn the_fingerprint_is_the_same_on_every_instruction_set() {
    let fingerprint = |set: &str| {
        let mut command = maana();
        command.env("MAANA_ISA", set).arg("info").arg(golden("tiny-bert")).args(["--fingerprint", "--json"]);
        json(&succeed(&mut command))
    };
    let expected = fingerprint("portable");
    assert_eq!(expected["embeddings"]["f32"], FINGERPRINT_F32, "of tiny-bert");
    assert_eq!(expected["embeddings"]["int8"], FINGERPRINT_INT8, "of tiny-bert");
    for set in INSTRUCTION_SETS {
        let mut found = fingerprint(set);
        println!("fingerprint: {} checked", found["instructions"]);
        found["instructions"] = expected["instructions"].clone();
        assert_eq!(found, expected, "{set}");
    }
    let lines = succeed(command(&["info", "--fingerprint"]).arg(golden("tiny-bert")));
    assert!(lines.contains(&format!("embeddings in f32        {FINGERPRINT_F32}\n")), "{lines}");
}

/// The server prints the note at its start, unless a precision was chosen.
#[test]
fn a_server_prints_which_precisions_are_faster_on_this_processor() {
    let started = |words: &[&str]| {
        let mut command = command(&["serve"]);
        command.arg(golden("tiny-bert")).args(["--port", "0"]).args(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let mut log = String::new();
        child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    };
    let instructions = json(&succeed(command(&["info", "--json"]).arg(golden("tiny-bert"))))["instructions"].clone();
    let faster = ["avx2", "avx512vnni", "avx512bf16"].contains(&instructions.as_str().unwrap());
    assert_eq!(started(&[]).contains("--precision int8"), faster, "{instructions}");
    assert!(!started(&["--precision", "f32"]).contains("--precision"));
}
