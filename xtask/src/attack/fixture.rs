//! Small files of every kind, made once by the program itself, that trials copy and mutate.

use super::process;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

const TEXTS: [&str; 12] = [
    "bei ya mahindi imepanda",
    "mtoto anacheza mpira",
    "the old king lived in the house",
    "bei ya mahindi imepanda sana sokoni",
    "watoto wanacheza mpira",
    "an old king lived in a house",
    "mvua inanyesha leo",
    "leo mvua inanyesha kutwa",
    "mama anapika chakula",
    "chakula kinapikwa na mama",
    "gari limeharibika njiani",
    "njiani gari liliharibika",
];

const RECIPE: &str = r#"[model]
base = "model"
max_seq_length = 64
[data]
train = ["pairs.jsonl"]
columns = ["anchor", "positive"]
[loss]
name = "multiple_negatives_ranking"
matryoshka_dims = [64, 32]
[training]
epochs = 2
batch_size = 4
learning_rate = 5e-4
schedule = "cosine"
warmup_ratio = 0.1
batch_sampler = "no_duplicates"
evaluate = "epoch"
save_every = 1
save_total_limit = 2
keep_best = "eval_dim_32_cosine_ndcg@10"
log_every = 1
[evaluation]
retrieval = ["dev"]
"#;

/// Makes the folder that all trials start from.
pub(crate) fn make(maana: &Path, folder: &Path) -> Result<()> {
    copy(Path::new("golden/tiny-bert"), &folder.join("model"))?;
    copy(Path::new("golden/cross/bert"), &folder.join("cross"))?;
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("the folder is above it"))?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    let lines =
        |line: &dyn Fn(usize, &str) -> String| TEXTS.iter().enumerate().map(|(i, text)| line(i, text)).collect();
    let label = |i: usize| ["soko", "mchezo", "nyumba"][i % 3];
    write("texts.txt", lines(&|_, text| format!("{text}\n")))?;
    write(
        "texts.jsonl",
        lines(&|i, text| format!("{}\n", serde_json::json!({"id": i, "text": text, "label": label(i)}))),
    )?;
    write("texts.csv", format!("id,text,label\n{}", lines(&|i, text| format!("{i},\"{text}\",{}\n", label(i)))))?;
    write("texts.tsv", format!("id\ttext\tlabel\n{}", lines(&|i, text| format!("{i}\t{text}\t{}\n", label(i)))))?;
    let pairs = || TEXTS.iter().zip(TEXTS.iter().skip(1)).map(|(a, b)| serde_json::json!({"anchor": a, "positive": b}));
    write("pairs.jsonl", pairs().map(|pair| format!("{pair}\n")).collect())?;
    let entry = |i: usize, text: &str| format!("{}\n", serde_json::json!({"_id": format!("d{i}"), "text": text}));
    write("dev/corpus.jsonl", lines(&entry))?;
    write("dev/queries.jsonl", lines(&entry))?;
    write("dev/qrels.tsv", format!("query-id\tcorpus-id\tscore\n{}", lines(&|i, _| format!("d{i}\td{}\t1\n", i ^ 1))))?;
    write("recipe.toml", RECIPE.to_owned())?;
    let commands = [
        "index model texts.jsonl --out store --keep label --precision f32",
        "add store texts.csv --id id --precision f32",
        "index model texts.jsonl --out graph --graph always --precision f32",
        "classify fit texts.csv --model model --out labels --precision f32",
        "encode model --input texts.jsonl --output embeddings.parquet --precision f32",
        "train recipe.toml --out run",
    ];
    for command in commands {
        run(maana, folder, command)?;
    }
    // A run that was stopped behind its first checkpoint.
    let unfinished = folder.join("run");
    std::fs::remove_dir_all(unfinished.join("model"))?;
    let mut checkpoints = checkpoints(&unfinished)?;
    let newest = checkpoints.pop().context("the run has no checkpoint")?;
    ensure!(!checkpoints.is_empty(), "the run has one checkpoint only");
    std::fs::remove_dir_all(newest)?;
    Ok(())
}

/// Checkpoints of a run by their number of updates.
fn checkpoints(run: &Path) -> Result<Vec<PathBuf>> {
    let number = |path: &Path| path.file_name()?.to_str()?.rsplit('-').next()?.parse::<u64>().ok();
    let entries = std::fs::read_dir(run)?.collect::<Result<Vec<_>, _>>()?;
    let mut found: Vec<(u64, PathBuf)> =
        entries.iter().filter_map(|entry| Some((number(&entry.path())?, entry.path()))).collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn run(maana: &Path, folder: &Path, command: &str) -> Result<()> {
    let out = std::env::temp_dir().join(format!("maana-attack-{}", std::process::id()));
    std::fs::create_dir_all(&out)?;
    let outcome = process::run(process::limited(maana, folder).args(command.split(' ')), &out)?;
    std::fs::remove_dir_all(&out)?;
    ensure!(outcome.succeeded(), "maana {command}: {}", outcome.excerpt());
    Ok(())
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).with_context(|| target.display().to_string())?;
        }
    }
    Ok(())
}

/// All files below a folder, with their paths from it, in order. Pipes and links are left out.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path().strip_prefix(folder)?.to_owned()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}
