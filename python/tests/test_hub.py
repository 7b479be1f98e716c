"""Pushes to a hub on the loopback interface."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conftest import ROOT, TINY

sys.path.insert(0, str(ROOT / "crates" / "maana" / "clients"))

SCRIPT = """
import sys
from maana import SentenceTransformer
model = SentenceTransformer(sys.argv[1], prompts={"query": "swali: "})
try:
    print(model.push_to_hub("maana/tiny", token="secret", private=True))
    print(model.push_to_hub("maana/tiny", token="secret", exist_ok=True, commit_message="again", revision="second"))
    model.push_to_hub("maana/tiny", token="secret")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def hub():
    from hub import Hub

    return Hub()


def run(hub, script, *arguments, **further):
    environment = {"HF_ENDPOINT": hub.url, "PYTHONPATH": ":".join(sys.path), "HOME": "/nowhere", **further}
    done = subprocess.run([sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_model_is_pushed_once_and_again_when_asked(hub):
    first, second, third = run(hub, SCRIPT, TINY)
    assert first.startswith(hub.url) and second.startswith(hub.url)
    repository = hub.repositories["maana/tiny"]
    assert repository["private"] and "model.safetensors" in repository["files"]
    assert third.startswith("FileExistsError") and "exist_ok" in third


def test_the_card_of_a_repository_is_replaced_only_when_asked(hub, tmp_path):
    script = """
import sys
from maana import SentenceTransformer
model = SentenceTransformer(sys.argv[1])
model.push_to_hub("maana/tiny", token="secret")
"""
    run(hub, script, TINY)
    files = hub.repositories["maana/tiny"]["files"]
    own, files["README.md"] = files["README.md"], b"# Ours"
    again = script.replace('token="secret"', 'token="secret", exist_ok=True')
    run(hub, again, TINY)
    assert files["README.md"] == b"# Ours"
    run(hub, again.replace("exist_ok=True", "exist_ok=True, replace_model_card=True, train_datasets=['a']"), TINY)
    assert files["README.md"] == own
    assert hub.repositories["maana/tiny"]["commits"][-1][0]["value"]["summary"] == "Add new SentenceTransformer model"
    refused = again.replace("exist_ok=True", "safe_serialization=False")
    with pytest.raises(AssertionError, match="safe_serialization=False is not supported"):
        run(hub, refused, TINY)


def test_a_token_of_the_environment_is_not_used_when_that_is_asked(hub, tmp_path):
    run(hub, "import sys, maana; maana.SentenceTransformer(sys.argv[1]).push_to_hub('maana/tiny', token='secret')", TINY)
    for token, expected in (("None", "Bearer other"), ("False", None), ("'mine'", "Bearer mine")):
        hub.log.clear()
        script = f"import sys, maana; maana.SentenceTransformer('maana/tiny', token={token}, cache_folder=sys.argv[1])"
        run(hub, script, str(tmp_path / token), HF_TOKEN="other")
        assert {entry[3] for entry in hub.log} == {expected}


def test_names_and_tokens_are_checked(hub):
    script = SCRIPT.replace('"maana/tiny", token="secret", private=True', '"tiny", token="secret"')
    assert run(hub, script, TINY)[0].startswith("ValueError")
    assert "ValueError" in run(hub, SCRIPT.replace('token="secret", private', "private"), TINY)[0]
    assert not hub.repositories


TRAINING = """
import sys
from maana import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
rows = [{"anchor": f"swali la {number}", "positive": f"jibu la {number}"} for number in range(16)]
hub = {"push_to_hub": True, "hub_model_id": "maana/trained", "hub_token": "secret", "hub_private_repo": True}
args = SentenceTransformerTrainingArguments(sys.argv[2], num_train_epochs=1, **hub)
SentenceTransformerTrainer(SentenceTransformer(sys.argv[1]), args, rows).train()
"""


def test_a_trainer_pushes_its_model_when_asked(hub, tmp_path):
    assert run(hub, TRAINING, TINY, str(tmp_path / "run")) == []
    repository = hub.repositories["maana/trained"]
    assert repository["private"] and b"maana/trained" in repository["files"]["README.md"]
    unnamed = TRAINING.replace('"hub_model_id": "maana/trained", ', "")
    with pytest.raises(AssertionError, match="hub_model_id"):
        run(hub, unnamed, TINY, str(tmp_path / "other"))
