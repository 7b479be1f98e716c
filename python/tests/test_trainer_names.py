"""Names of the reference's trainer: each is there, or is refused by name with the remedy."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

from conftest import ROOT, TINY
from maana import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    cross_encoder,
    datasets,
    losses,
    readers,
    training_args,
)
from maana.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from test_training import PAIRS, arguments

NAMES = json.loads((ROOT / "golden" / "trainer_names.json").read_text())
MODULES = {
    "losses": losses,
    "cross_encoder": cross_encoder,
    "cross_encoder.losses": cross_encoder.losses,
    "datasets": datasets,
    "readers": readers,
    "training_args": training_args,
}
REFUSED = {
    "ContrastiveTensionDataLoader",
    "ContrastiveTensionLoss",
    "ContrastiveTensionLossInBatchNegatives",
    "CrossEncoderDataCollator",
    "DenoisingAutoEncoderDataset",
    "DenoisingAutoEncoderLoss",
    "EmbedDistillLoss",
    "GlobalOrthogonalRegularizationLoss",
    "LabelSentenceReader",
    "MegaBatchMarginLoss",
    "NLIDataReader",
    "PairedFilesReader",
    "ParallelSentencesDataset",
    "STSBenchmarkDataReader",
    "STSDataReader",
    "TripletReader",
}


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_a_module_is_there_or_refused(module):
    for name in NAMES[module]:
        found = getattr(MODULES[module], name)
        assert name in MODULES[module].__all__, name
        if name in REFUSED:
            with pytest.raises(NotImplementedError, match=f"{name} is not supported: ."):
                found()


@pytest.mark.parametrize("kind", ["", "cross_encoder."])
def test_every_argument_of_training_is_accepted_at_its_default(tmp_path, kind):
    make = CrossEncoderTrainingArguments if kind else SentenceTransformerTrainingArguments
    defaults = {**NAMES[f"{kind}arguments"], "output_dir": str(tmp_path)}
    for name, value in defaults.items():
        made = make(**{"output_dir": str(tmp_path), name: value})
        assert getattr(made, name) == value
    whole = make(**defaults)
    assert whole.training == make(str(tmp_path)).training == {}
    for name in training_args._DEFAULTS:
        assert getattr(make(str(tmp_path)), name) == defaults[name], name


def test_arguments_without_a_meaning_are_accepted_and_others_refused(tmp_path):
    ignored = {"use_cpu": True, "dataloader_num_workers": 4, "push_to_hub": False, "do_eval": True, "run_name": "first"}
    assert arguments(tmp_path, **ignored).training == arguments(tmp_path).training
    refused = {
        "learning_rate_mapping": "encoder",
        "label_smoothing_factor": 0.1,
        "neftune_noise_alpha": 5,
        "auto_find_batch_size": True,
        "ignore_data_skip": True,
        "optim": "sgd",
        "report_to": "wandb",
        "lr_scheduler_type": "sawtooth",
        "batch_sampler": dict,
        "multi_dataset_batch_sampler": lambda *arguments: None,
    }
    for name, value in refused.items():
        with pytest.raises(ValueError, match=name):
            arguments(tmp_path, **{name: value})


def test_samplers_have_the_names_of_the_reference():
    for kind, names in [
        (training_args.BatchSamplers, NAMES["batch_samplers"]),
        (training_args.MultiDatasetBatchSamplers, NAMES["multi_dataset_batch_samplers"]),
    ]:
        assert {each.name: each.value for each in kind} == names


@pytest.mark.parametrize("trainer", [SentenceTransformerTrainer, CrossEncoderTrainer])
def test_every_parameter_of_the_trainer_is_there_or_refused(tmp_path, trainer):
    own = inspect.signature(trainer).parameters
    for name in NAMES["trainer"]:
        if name not in own:
            with pytest.raises(NotImplementedError, match=f"{name} is not supported: ."):
                trainer(SentenceTransformer(TINY), None, PAIRS, **{name: object()})
    with pytest.raises(TypeError, match="no_such"):
        trainer(SentenceTransformer(TINY), None, PAIRS, no_such=1)
    with pytest.raises(NotImplementedError, match="tokenizer"):
        trainer(SentenceTransformer(TINY), None, PAIRS, tokenizer=object())


def test_fit_has_the_parameters_of_the_reference():
    for names, function in [("fit", SentenceTransformer.fit), ("cross_encoder.fit", cross_encoder.CrossEncoder.fit)]:
        assert NAMES[names] == list(inspect.signature(function).parameters)[1:]


def test_subclasses_that_override_the_loop_are_refused():
    class Weighted(SentenceTransformerTrainer):
        def compute_loss(self, model, inputs, return_outputs=False):
            return 0.0

    with pytest.raises(NotImplementedError, match="Weighted overrides compute_loss.*PythonLoss"):
        Weighted(SentenceTransformer(TINY), None, PAIRS)

    class Named(SentenceTransformerTrainer):
        """A subclass without methods of its own."""

    assert Named(SentenceTransformer(TINY), None, PAIRS).args.output_dir == "tmp_trainer"


def test_steps_of_evaluation_and_the_best_measure_have_the_defaults_of_the_reference(tmp_path):
    assert arguments(tmp_path, eval_strategy="steps", logging_steps=7).training["evaluate"] == 7
    assert arguments(tmp_path, eval_strategy="steps", eval_steps=3).training["evaluate"] == 3
    best = arguments(tmp_path, eval_strategy="epoch", load_best_model_at_end=True).training
    assert best["keep_best"] == "loss"
    model = SentenceTransformer(TINY)
    dev = {key: values[:16] for key, values in PAIRS.items()}
    args = arguments(tmp_path / "run", eval_strategy="epoch", load_best_model_at_end=True)
    trainer = SentenceTransformerTrainer(model, args, PAIRS, dev, losses.MultipleNegativesRankingLoss(model))
    output = trainer.train()
    assert output.metrics["eval_loss"] == trainer.state.best_metric > 0


def test_progress_is_shown_when_asked(tmp_path, capsys):
    pytest.importorskip("tqdm")
    for disabled in (True, False):
        args = arguments(tmp_path / str(disabled), disable_tqdm=disabled)
        SentenceTransformerTrainer(SentenceTransformer(TINY), args, PAIRS).train()
        assert ("6/6" in capsys.readouterr().err) == (not disabled)


def test_model_init_makes_the_model(tmp_path):
    trainer = SentenceTransformerTrainer(
        args=arguments(tmp_path / "run"), train_dataset=PAIRS, model_init=lambda: SentenceTransformer(TINY)
    )
    trainer.train()
    assert not np.array_equal(trainer.model.encode("neno"), SentenceTransformer(TINY).encode("neno"))
    with pytest.raises(RuntimeError, match="model_init"):
        SentenceTransformerTrainer(train_dataset=PAIRS)


def test_a_checkpoint_outside_of_the_run_is_refused(tmp_path):
    trainer = SentenceTransformerTrainer(SentenceTransformer(TINY), arguments(tmp_path / "run"), PAIRS)
    with pytest.raises(ValueError, match="outside"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "other" / "checkpoint-3"))


class Recorder:
    """A callback with the methods of transformers."""

    def __init__(self, stop=None):
        self.events, self.stop = [], stop

    def on_train_begin(self, args, state, control, **others):
        self.events.append("begin")

    def on_step_end(self, args, state, control, model=None, **others):
        self.events.append(state.global_step)
        control.should_training_stop = state.global_step == self.stop

    def on_log(self, args, state, control, logs=None, **others):
        self.events.append("log")

    def on_train_end(self, args, state, control, **others):
        self.events.append("end")


def test_callbacks_with_the_methods_of_transformers(tmp_path):
    recorder = Recorder()
    model = SentenceTransformer(TINY)
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path / "run"), PAIRS, callbacks=[recorder])
    trainer.train()
    assert recorder.events[0] == "begin" and recorder.events[-1] == "end"
    assert [event for event in recorder.events if isinstance(event, int)] == [1, 2, 3, 4, 5, 6]
    assert recorder.events.count("log") == 6

    class Other:
        def on_substep_end(self, args, state, control):
            pass

    with pytest.raises(NotImplementedError, match="on_substep_end"):
        trainer.add_callback(Other())
    with pytest.raises(TypeError, match="int"):
        trainer.add_callback(7)


def test_a_callback_that_ends_the_training_keeps_the_weights_of_the_moment(tmp_path):
    recorder = Recorder(stop=2)
    model = SentenceTransformer(TINY)
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path / "run"), PAIRS, callbacks=[recorder])
    assert trainer.train().global_step == 2 and recorder.events[-1] == "end"
    assert not np.array_equal(model.encode("neno"), SentenceTransformer(TINY).encode("neno"))


def test_the_card_has_the_data_of_the_model(tmp_path):
    from maana import SentenceTransformerModelCardData

    data = SentenceTransformerModelCardData(language="sw", license="apache-2.0", model_name="Majaribio")
    model = SentenceTransformer(TINY, model_card_data=data)
    SentenceTransformerTrainer(model, arguments(tmp_path / "run"), PAIRS).train()
    card = (tmp_path / "run" / "run" / "model" / "README.md").read_text()
    assert "# Majaribio" in card and "license: apache-2.0" in card and "- sw" in card
