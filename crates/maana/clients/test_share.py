"""Other people's readers of what `maana train` and `maana push` write: TensorBoard's event files, `huggingface_hub`'s model cards,
and its client with a hub on the loopback interface.

    MAANA=target/debug/maana python -m pytest crates/maana/clients
"""

import json
import os
import pathlib
import signal
import subprocess
import time
import tomllib

import huggingface_hub
import pytest
from hub import Hub
from huggingface_hub import HfApi, ModelCard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = pathlib.Path(__file__).resolve().parents[3]
MAANA = os.environ.get("MAANA", str(ROOT / "target/debug/maana"))
# Evaluation sets by name, with their kind and their file.
SETS = {
    "alike": ("similarity", "scores"),
    "same": ("binary", "same"),
    "triplets": ("triplet", "triplets"),
    "translated": ("translation", "pairs"),
    "reranked": ("reranking", "lists"),
    "lost": ("loss", "pairs"),
}
RECIPE = """
[model]
base = "{base}"
[data]
train = ["pairs.jsonl"]
[loss]
name = "multiple_negatives_ranking"
matryoshka_dims = [32, 16]
[training]
epochs = {epochs}
batch_size = 4
evaluate = 5
keep_best = "dim_32_cosine_ndcg@10"
save_total_limit = 1
log_every = 1
tensorboard = true
[evaluation]
retrieval = ["dev"]
{sets}[card]
name = "A model: of \\"tests\\""
language = ["sw", "en"]
license = "apache-2.0"
"""


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def sets(*names):
    """Returns the part of a recipe with these evaluation sets."""
    part = '[[evaluation.sets]]\nname = "{}"\nkind = "{}"\nfiles = ["{}.jsonl"]\n'
    return "".join(part.format(name, *SETS[name]) for name in names)


def prepare(folder, epochs):
    """Writes data and a recipe. Returns the recipe."""
    words = ["habari", "mtoto", "kitabu", "ndege", "bei", "soko", "shule", "mti", "nyumba", "mvua"]
    text = lambda row: f"{words[row % 10]} {words[row // 10 % 10]} {row}"
    write_lines(folder / "pairs.jsonl", [{"anchor": text(row), "positive": f"swali {text(row)}"} for row in range(40)])
    write_lines(folder / "scores.jsonl", [{"sentence1": text(row), "sentence2": text(row // 2), "score": row % 5 / 4} for row in range(20)])
    write_lines(folder / "same.jsonl", [{"sentence1": text(row), "sentence2": text(row // 2), "label": row % 2} for row in range(20)])
    write_lines(folder / "triplets.jsonl", [{"anchor": text(row), "positive": f"swali {text(row)}", "negative": text(row + 7)} for row in range(9)])
    write_lines(folder / "lists.jsonl", [{"query": text(row), "positive": [f"swali {text(row)}"], "negative": [text(row + 7), text(row + 9)]} for row in range(9)])
    dev = folder / "dev"
    dev.mkdir()
    write_lines(dev / "queries.jsonl", [{"_id": f"q{row}", "text": f"swali {text(row)}"} for row in range(6)])
    write_lines(dev / "corpus.jsonl", [{"_id": f"d{row}", "text": text(row)} for row in range(12)])
    qrels = "".join(f"q{row}\td{row}\t1\n" for row in range(6))
    (dev / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(base=ROOT / "golden/tiny-bert", epochs=epochs, sets=sets(*SETS)))
    return recipe


def train(recipe, out, *more):
    return subprocess.run([MAANA, "train", str(recipe), "--out", str(out), *more], capture_output=True, text=True)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done = train(prepare(folder, 2), folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def rows(run):
    return [json.loads(line) for line in (run / "record.jsonl").read_text().splitlines()]


def read(reader):
    """Returns all numbers as tag → [(step, value)], and checks that no step comes twice."""
    scalars = {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    for tag, events in scalars.items():
        steps = [step for step, _ in events]
        assert steps == sorted(set(steps)), (tag, steps)
    return scalars


def assert_is_record(scalars, record):
    near = lambda expected: [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
    training = [row for row in record if row["event"] == "training"]
    for tag, key in [("loss", "loss"), ("learning_rate", "learning_rate"), ("grad_norm", "gradient_norm"), ("epoch", "epoch")]:
        assert scalars[f"train/{tag}"] == near([(row["step"], row[key]) for row in training]), tag
    evaluations = [row for row in record if row["event"] == "evaluation"]
    names = [name for name, _ in evaluations[0]["scores"]]
    assert "dim_32_cosine_ndcg@10" in names
    for number, name in enumerate(names):
        expected = [(row["step"], row["scores"][number][1]) for row in evaluations]
        assert scalars[f"eval/{name}"] == near(expected), name


def test_tensorboard_reads_the_log(run):
    reader = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    reader.Reload()
    assert_is_record(read(reader), rows(run))
    step = rows(run)[-1]["step"]
    for tag in ["runtime", "samples_per_second", "steps_per_second", "loss"]:
        [event] = reader.Scalars(f"train/train_{tag}")
        assert event.step == step and event.value > 0, tag
    losses = [row["loss"] for row in rows(run) if row["event"] == "training"]
    assert reader.Scalars("train/train_loss")[0].value == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    [settings] = reader.Tensors("args/text_summary")
    assert json.loads(settings.tensor_proto.string_val[0])["batch_size"] == 4
    times = [event.wall_time for event in reader.Scalars("train/loss")]
    assert times == sorted(times) and abs(times[-1] - time.time()) < 3600


def test_a_killed_and_resumed_run_reads_as_one(tmp_path):
    recipe, out = prepare(tmp_path, 40), tmp_path / "out"
    live = None
    for kill in range(4):
        process = subprocess.Popen(
            [MAANA, "train", str(recipe), "--out", str(out), *(["--resume"] if kill else [])], stderr=subprocess.DEVNULL
        )
        seen = len(rows(out)) if (out / "record.jsonl").exists() else 0
        while process.poll() is None and not ((out / "record.jsonl").exists() and len(rows(out)) > seen + 13):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # A TensorBoard that runs all the time.
        live = live or EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0})
        live.Reload()
    done = train(recipe, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert len(list((out / "tensorboard").iterdir())) == 1, "one file for all calls"
    later = EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0})
    for reader in [later, live]:
        reader.Reload()
        assert_is_record(read(reader), rows(out))
    assert len(rows(out)) >= 400


def test_the_card_is_valid(run):
    card = ModelCard.load(run / "model/README.md")
    data = card.data
    assert (data.license, data.language, data.library_name) == ("apache-2.0", ["sw", "en"], "sentence-transformers")
    assert data.model_name == 'A model: of "tests"' and data.pipeline_tag == "sentence-similarity"
    record = json.loads((run / "evaluation/after.json").read_text())
    results = {(result.dataset_name, result.metric_type): result.metric_value for result in data.eval_results}
    measured = {kind for _, kind in results}
    assert measured >= {"cosine_ndcg@10", "spearman_cosine", "cosine_ap", "cosine_accuracy", "mean_accuracy", "map"}, measured
    assert len(results) == len(data.eval_results) and len(record) > 0
    # What the parser writes is what it read.
    again = ModelCard(str(card))
    assert again.data.to_dict() == data.to_dict() and again.text == card.text
    huggingface_hub.metadata_load(run / "model/README.md")


CROSS_ENCODER = """
[model]
base = "{base}"
kind = "cross_encoder"
[data]
train = ["same.jsonl"]
[loss]
name = "binary_cross_entropy"
[training]
epochs = 1
batch_size = 4
{sets}[card]
license = "apache-2.0"
"""


def test_the_card_of_a_cross_encoder_is_valid(tmp_path):
    recipe = prepare(tmp_path, 1)
    recipe.write_text(CROSS_ENCODER.format(base=ROOT / "golden/tiny-bert", sets=sets("reranked", "same")))
    done = train(recipe, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    card = ModelCard.load(tmp_path / "out/model/README.md")
    data = card.data
    assert data.pipeline_tag == "text-ranking" and data.tags[:3] == ["sentence-transformers", "cross-encoder", "reranker"]
    assert data.to_dict().get("widget") is None
    measured = {(result.task_type, result.metric_type) for result in data.eval_results}
    assert ("cross-encoder-reranking", "ndcg@10") in measured, measured
    assert ("cross-encoder-classification", "average_precision") in measured, measured
    again = ModelCard(str(card))
    assert again.data.to_dict() == data.to_dict() and again.text == card.text


def test_the_card_gives_the_recipe_again(run):
    made = subprocess.run([MAANA, "train", "--from-card", str(run / "model/README.md")], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    found, expected = tomllib.loads(made.stdout), tomllib.loads((run / "recipe.toml").read_text())
    assert found["data"]["columns"] == ["anchor", "positive"]
    assert found["loss"]["matryoshka_dims"] == [32, 16] and found["loss"]["name"] == expected["loss"]["name"]
    for key, value in found["training"].items():
        assert expected["training"][key] == value, key
    for key in ["batch_size", "evaluate", "keep_best", "save_total_limit", "log_every"]:
        assert key in found["training"], key
    assert found["evaluation"]["sets"][0]["kind"] == "similarity" and found["card"] == expected["card"]


def push(hub, folder, name, *more):
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_test"}
    for variable in ["HF_HUB_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"]:
        environment.pop(variable, None)
    return subprocess.run([MAANA, "push", str(folder), name, *more], capture_output=True, text=True, env=environment)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_hubs_client_reads_what_was_pushed(run, tmp_path):
    hub = Hub()
    pushed = push(hub, run / "model", "org/model", "--private")
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.strip() == f"{hub.url}/org/model/commit/{1:040x}"
    api = HfApi(endpoint=hub.url, token="hf_test")
    assert api.model_info("org/model").private
    expected = content(run / "model")
    expected["README.md"] = expected["README.md"].replace(b"path/to/this/folder", b"org/model")
    assert sorted(api.list_repo_files("org/model")) == sorted(expected)
    local = huggingface_hub.snapshot_download("org/model", endpoint=hub.url, token="hf_test", local_dir=tmp_path / "copy")
    copy = {name: bytes for name, bytes in content(pathlib.Path(local)).items() if not name.startswith(".cache")}
    assert copy == expected
    assert ModelCard.load(tmp_path / "copy/README.md").data.license == "apache-2.0"
    before = len(hub.log)
    assert push(hub, run / "model", "org/model").returncode == 0
    assert not [path for method, path, *_ in hub.log[before:] if method == "PUT" or "/commit/" in path]
    dry = push(hub, run / "model", "org/other", "--dry-run")
    assert dry.returncode == 0 and "would be created" in dry.stdout and "org/other" not in hub.repositories


def test_requests_are_those_of_the_hubs_client(run, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    hub, reference = Hub(), Hub()
    folder = run / "model"
    pushed = push(hub, folder, "org/model", "--message", "a model")
    assert pushed.returncode == 0, pushed.stderr
    # The placeholder of the card becomes the name.
    card = folder / "README.md"
    original = card.read_text()
    try:
        card.write_text(original.replace("path/to/this/folder", "org/model"))
        api = HfApi(endpoint=reference.url, token="hf_test")
        api.create_repo("org/model")
        api.upload_folder(repo_id="org/model", folder_path=folder, commit_message="a model")
    finally:
        card.write_text(original)

    def requests(hub, end):
        """Returns bodies as JSON, with files in one order."""
        bodies = [body for _, path, body, _ in hub.log if path.endswith(end)]
        values = [json.loads(line) for body in bodies for line in body.decode().splitlines()]
        flat = [entry for value in values for entry in value.get("files", value.get("objects", [value]))]
        return sorted(flat, key=json.dumps)

    for end in ["/preupload/main", "objects/batch", "/commit/main", "/complete", "/verify"]:
        assert requests(hub, end) == requests(reference, end) != [], end
    for _, path, _, token in hub.log:
        assert token == (None if path.count("/") <= 2 and path.strip("/")[:64].isalnum() and len(path) >= 64 else "Bearer hf_test"), path


def test_refusals_are_explained(run):
    hub = Hub()
    hub.api = lambda *_: hub.error(403, "you may not, hf_test")
    hub.repositories["org/model"] = {"files": {}, "private": False, "commits": []}
    refused = push(hub, run / "model", "org/model")
    assert refused.returncode == 1 and "hf_test" not in refused.stderr, refused.stderr
