//! Embeddings in every format, similarity, model information, scores, and generated data.

use crate::support::{Bench, fail, golden, maana, succeed, text};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

/// Returns the header and the values of a `.npy` file.
fn npy(bytes: &[u8]) -> (String, Vec<f32>) {
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = text(&bytes[10..10 + length]);
    let floats = bytes[10 + length..].chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    (header, floats.collect())
}

#[test]
fn embeddings_of_the_reference_in_every_format_and_from_standard_input() {
    let bench = Bench::new();
    let golden_file: Value = serde_json::from_slice(&std::fs::read(golden("tiny_encode.json")).unwrap()).unwrap();
    let rows = golden_file["rows"].as_array().unwrap();
    let expected: Vec<f64> =
        rows.iter().flat_map(|row| row["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap())).collect();
    let lines: String = rows.iter().map(|row| format!("{}\n", serde_json::json!({"text": row["text"]}))).collect();
    bench.write("texts.jsonl", &lines);
    let encode = |output: &str| {
        let mut command = maana();
        command
            .arg("encode")
            .arg(golden("tiny-bert"))
            .arg("--allow-blank")
            .arg("--input")
            .arg(bench.path("texts.jsonl"));
        succeed(command.arg("--output").arg(bench.path(output)));
        std::fs::read(bench.path(output)).unwrap()
    };
    let (header, floats) = npy(&encode("out.npy"));
    assert!(header.contains(&format!("({}, 64)", rows.len())), "{header}");
    for (ours, theirs) in floats.iter().zip(&expected) {
        assert!((f64::from(*ours) - theirs).abs() <= 1e-5);
    }
    let jsonl = text(&encode("out.jsonl"));
    let from_jsonl: Vec<f32> = jsonl
        .lines()
        .flat_map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            row["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(from_jsonl, floats, "every bit survives JSON");
    assert_eq!(&encode("out.parquet")[..4], b"PAR1");

    // Standard input, other batches and another number of threads: the same bits.
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).args(["--input", "-", "--allow-blank"]);
    command.args(["--batch-tokens", "64", "--threads", "1"]);
    command.arg("--output").arg(bench.path("stdin.npy")).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let plain: Vec<&str> = rows.iter().map(|row| row["text"].as_str().unwrap()).collect();
    if plain.iter().any(|text| text.contains('\n') || text.trim().is_empty()) {
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    } else {
        child.stdin.take().unwrap().write_all(plain.join("\n").as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(npy(&std::fs::read(bench.path("stdin.npy")).unwrap()).1, floats);

    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).arg("--input").arg(bench.path("texts.jsonl"));
    command.args(["--allow-blank", "--dim", "16"]);
    succeed(command.arg("--output").arg(bench.path("short.npy")));
    let (_, short) = npy(&std::fs::read(bench.path("short.npy")).unwrap());
    for (short, long) in short.chunks(16).zip(floats.chunks(64)) {
        let length = long[..16].iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(short.iter().zip(long).all(|(short, long)| (short - long / length).abs() < 1e-6));
    }
}

#[test]
fn similarities_as_a_table_and_as_json() {
    let texts = ["Habari ya asubuhi", "Habari ya asubuhi", "Bei ya mahindi imepanda"];
    let table = succeed(maana().arg("similarity").arg(golden("tiny-bert")).args(texts));
    assert!(table.lines().nth(1).unwrap().contains("1.0000  "), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    let json = succeed(maana().arg("similarity").arg(golden("tiny-bert")).args(texts).arg("--json"));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["similarities"][0][2], json["similarities"][2][0]);
    assert!((json["similarities"][0][1].as_f64().unwrap() - 1.0).abs() < 1e-6);
}

#[test]
fn info_describes_a_model() {
    let info = succeed(maana().arg("info").arg(golden("tiny-bert")));
    for part in ["architecture", "Transformer → Pooling → Normalize", "64", "fingerprint", "parameters"] {
        assert!(info.contains(part), "`{part}` is missing in:\n{info}");
    }
    let json: Value =
        serde_json::from_str(&succeed(maana().arg("info").arg(golden("tiny-bert")).arg("--json"))).unwrap();
    assert_eq!(json["dimension"], 64);
}

#[test]
fn a_closed_output_is_not_an_error() {
    for arguments in [vec!["info", "MODEL"], vec!["info", "MODEL", "--json"], vec!["completions", "bash"]] {
        let model = golden("tiny-bert");
        let arguments = arguments.iter().map(|word| if *word == "MODEL" { model.as_os_str() } else { word.as_ref() });
        let mut child = maana().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    }
    // The same holds for standard error.
    let mut command = maana();
    command.arg("encode").arg(golden("tiny-bert")).args(["--input", "-", "--output"]);
    let bench = Bench::new();
    command.arg(bench.path("out.npy")).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    child.stdin.take().unwrap().write_all(b"habari\n").unwrap();
    assert!(child.wait().unwrap().success() && bench.path("out.npy").exists());
}

#[test]
fn scores_as_table_json_and_csv() {
    let bench = Bench::new();
    let mut command = maana();
    command.arg("evaluate").arg(golden("tiny-bert")).arg(bench.path("dev")).args(["--dims", "64,8", "--json"]);
    let table = succeed(command.arg(bench.path("scores.json")).arg("--csv").arg(bench.path("csv")));
    assert!(table.contains("cosine_ndcg@10") && table.lines().next().unwrap().contains("64"), "{table}");
    let json: Value = serde_json::from_slice(&std::fs::read(bench.path("scores.json")).unwrap()).unwrap();
    assert!(json["dim_64_cosine_map@100"].is_number() && json["dim_8_cosine_accuracy@1"].is_number(), "{json}");
    let csv = std::fs::read_to_string(bench.path("csv/Information-Retrieval_evaluation_dim_64_results.csv"));
    assert!(csv.unwrap().starts_with("epoch,steps,cosine-Accuracy@1"));
    let stderr =
        fail(maana().arg("evaluate").arg(golden("tiny-bert")).arg(bench.path("dev")).args(["--dims", "65"]), 1);
    assert!(stderr.contains("65") && stderr.contains("64"), "{stderr}");
}

#[test]
fn generated_pairs_are_the_same_bytes_for_the_same_seed() {
    let bench = Bench::new();
    let make = |out: &str, seed: &str| {
        let mut command = maana();
        command.args(["synthesize", "--pairs", "500", "--queries", "20", "--seed", seed, "--out"]);
        succeed(command.arg(bench.path(out)));
        std::fs::read(bench.path(out).join("train.jsonl")).unwrap()
    };
    let (first, again, other) = (make("a", "7"), make("b", "7"), make("c", "8"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(text(&first).lines().count(), 500);
    for name in ["queries.jsonl", "corpus.jsonl", "qrels/test.tsv"] {
        let read = |out: &str| std::fs::read(bench.path(out).join("dev").join(name)).unwrap();
        assert_eq!(read("a"), read("b"), "{name}");
    }
}

/// The generator still writes the pairs and the retrieval set that are part of the demo.
#[test]
fn the_data_of_the_demo_are_those_of_the_generator() {
    let bench = Bench::new();
    let mut command = maana();
    command.args(["synthesize", "--pairs", "3000", "--queries", "300", "--seed", "42", "--out"]);
    succeed(command.arg(bench.path("made")));
    let kept = golden("..").join("recipes/demo");
    for name in ["train.jsonl", "dev/queries.jsonl", "dev/corpus.jsonl", "dev/qrels/test.tsv"] {
        let made = std::fs::read(bench.path("made").join(name)).unwrap();
        assert!(
            made == std::fs::read(kept.join(name)).unwrap(),
            "recipes/demo/{name}: remove recipes/demo and create it again with\n             `maana synthesize --pairs 3000 --queries 300 --seed 42 --out recipes/demo`"
        );
    }
}
