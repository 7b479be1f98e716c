"""`SentenceTransformerTrainer`: training with the reference's names and arguments."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

from . import _maana
from ._learning_rates import groups_of
from ._progress import progress_bar
from ._refusals import refuse_arguments, refuse_overrides
from ._run_evaluator import RunEvaluator, as_dict
from ._run_recipe import RunData, dev_loss_sets
from .callbacks import CallbackMethods, of_callbacks
from .losses import CoSENTLoss, Loss, MultipleNegativesRankingLoss, PythonLoss, as_loss
from .model import SentenceTransformer
from .training_args import SentenceTransformerTrainingArguments

__all__ = ["SentenceTransformerTrainer", "TrainOutput", "TrainerState"]


@dataclass
class TrainerState:
    """State of a run.

    Attributes:
        global_step: Completed updates.
        max_steps: Updates of the run.
        epoch: Completed epochs.
        log_history: Rows of the log, with the names of the Hugging Face trainer.
        best_metric: Value of the measure that selects the best checkpoint.
    """

    global_step: int = 0
    max_steps: int = 0
    epoch: float = 0.0
    log_history: list[dict[str, float]] = field(default_factory=list)
    best_metric: float | None = None


@dataclass(frozen=True)
class TrainOutput:
    """Result of a run.

    Attributes:
        global_step: Completed updates.
        training_loss: Mean loss of the rows of the log.
        metrics: Measures after the run, by name.
    """

    global_step: int
    training_loss: float
    metrics: dict[str, float]


#: Called with an event (`log`, `evaluate`, `step`), its values and the state. ``True`` ends the run.
Callback = Callable[[str, dict[str, Any], TrainerState], Any]


class SentenceTransformerTrainer:
    """Trains a model: by the same recipe, loss and order of batches as ``maana train``.

    After `train` the model has the trained weights, and the folder of the run holds the model with
    its card, the report, the log, the checkpoints and the recipe.

    Args:
        model: The model.
        args: Arguments of training.
        train_dataset: A ``datasets.Dataset``, a table of pandas, polars or Arrow, a dictionary of
            columns, a list of dictionaries or of ``InputExample``, or the path of a file; or a
            dictionary of several such data sets by name.
        eval_dataset: The same, for the dev loss.
        loss: A loss of `maana.losses`, or one written in Python (`losses.PythonLoss`), or a
            dictionary of losses by the name of a data set. Default: CoSENT with labels, else
            multiple negatives ranking.
        evaluator: An evaluator of `maana.evaluation`, any object or function that is called with
            ``(model, output_path, epoch, steps)`` and returns a number or a dictionary of numbers,
            or a list of them. They are called before the first update, at the evaluations of
            ``eval_strategy`` and at the end, on the model as it is then; their measures are in the
            log and may be ``metric_for_best_model``.
        model_init: A function that makes the model, instead of ``model``. An argument receives ``None``.
        callbacks: Functions that are called with each event, or objects with methods of
            ``transformers.TrainerCallback`` (`maana.callbacks`).
        **others: Arguments of the reference's trainer that are refused by name, with the remedy.

    Raises:
        TypeError: If a data set or an evaluator is of an unknown type.
        ValueError: If the columns do not fit the loss, or a setting is not valid.
        NotImplementedError: For arguments, and overridden methods of a subclass, that have no
            meaning here.

    Example:
        >>> trainer = SentenceTransformerTrainer(model, args, train, loss=loss)  # doctest: +SKIP
        >>> trainer.train().global_step  # doctest: +SKIP
        100
    """

    #: Class of the arguments.
    args_class: type[SentenceTransformerTrainingArguments] = SentenceTransformerTrainingArguments

    def __init__(
        self,
        model: SentenceTransformer | None = None,
        args: SentenceTransformerTrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        loss: Any = None,
        evaluator: Any = None,
        model_init: Callable[..., SentenceTransformer] | None = None,
        callbacks: Iterable[Any] | None = None,
        **others: Any,
    ) -> None:
        refuse_overrides(type(self), SentenceTransformerTrainer)
        refuse_arguments(others)
        if model is None and model_init is None:
            raise RuntimeError(f"`{type(self).__name__}` requires either a `model` or `model_init` argument")
        if args is not None and not isinstance(args, self.args_class):
            raise ValueError(f"args is of type {type(args).__name__}; expected a {self.args_class.__name__} of maana")
        if train_dataset is None:
            raise ValueError("train_dataset is None; expected a data set")
        self.model: Any = model if model_init is None else _initial(model_init)
        self.args = args or self.args_class("tmp_trainer")
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.loss, self.evaluator = loss, evaluator
        self.state = TrainerState()
        self._evaluates = self._run_evaluator()
        self.callbacks: list[Callback] = []
        self._progress: Callable[..., None] | None = None
        self._stops_early: dict[str, Any] = {}
        for callback in callbacks or []:
            self.add_callback(callback)

    def hyperparameter_search(self, *arguments: Any, **keywords: Any) -> None:
        """Raise an error: there is no search."""
        raise NotImplementedError("hyperparameter_search is not supported: train once for each set of arguments")

    def add_callback(self, callback: Any) -> None:
        """Add a function that is called with each event, or an object with methods of
        ``transformers.TrainerCallback``."""
        functions, training = of_callbacks([callback], self)
        self.callbacks += functions
        self._stops_early |= training

    def train(self, resume_from_checkpoint: bool | str | None = None) -> TrainOutput:
        """Train the model.

        Args:
            resume_from_checkpoint: Continue the run of the folder from its newest checkpoint, to
                the same bits as without the interruption.

        Raises:
            ValueError: If the folder holds an earlier run and ``resume_from_checkpoint`` is not set.
            KeyboardInterrupt: At Ctrl-C, after a checkpoint was written.
            Exception: That of a callback, of an evaluator or of a loss written in Python.
        """
        # The model stays where it was trained if the program changes its directory.
        folder = os.path.abspath(self.args.output_dir)
        self._check_resumed(resume_from_checkpoint)
        self._check_new(os.path.join(folder, "run"), resume_from_checkpoint)
        recipe, own = self._recipe(os.path.join(folder, "data"))
        run = os.path.join(folder, "run")
        self._call_methods("on_train_begin")
        settings = (json.dumps(recipe), folder, run, bool(resume_from_checkpoint))
        try:
            disabled = self.args.disable_tqdm
            with progress_bar(None if disabled is None else not disabled, None, "Updates") as self._progress:
                path, scores = _maana.train(*settings, self._observe, own, self._evaluates)
        except KeyboardInterrupt as stopped:
            # A callback that ends the training is satisfied with the weights of the moment.
            path, scores = getattr(stopped, "checkpoint", None), "{}"
            if path is None or not any(callback.ends for callback in self._methods()):
                raise
        self.model._reopen(path)
        self._call_methods("on_train_end")
        if self.args.push_to_hub:
            self.push_to_hub()
        metrics = {f"eval_{name}": value for name, value in json.loads(scores).items()}
        losses = [row["loss"] for row in self.state.log_history if "loss" in row]
        mean = sum(losses) / len(losses) if losses else float("nan")
        return TrainOutput(self.state.global_step, mean, metrics)

    def evaluate(self) -> dict[str, float]:
        """Return the measures of the evaluators for the model as it is now."""
        if self._evaluates is None:
            return {}
        measured = self._evaluates(self.model.native, self.state.global_step, self.state.epoch)
        return {f"eval_{name}": value for name, value in as_dict(measured).items()}

    def save_model(self, output_dir: str | None = None) -> None:
        """Write the model to a folder."""
        self.model.save_pretrained(output_dir or os.path.join(self.args.output_dir, "model"))

    def push_to_hub(self, commit_message: str | None = None, token: str | None = None) -> str:
        """Push the model to ``hub_model_id`` of the arguments, and return the page of the commit.

        Raises:
            ValueError: If the arguments have no ``hub_model_id``, or there is no token.
        """
        if not self.args.hub_model_id:
            raise ValueError("the arguments have no hub_model_id; set it to organisation/model")
        options = {"token": token or self.args.hub_token, "private": self.args.hub_private_repo}
        options |= {"revision": self.args.hub_revision, "commit_message": commit_message, "exist_ok": True}
        return self.model.push_to_hub(self.args.hub_model_id, **options)

    def _run_evaluator(self) -> RunEvaluator | None:
        if self.evaluator is None:
            return None
        return RunEvaluator(self.evaluator, self.model, os.path.join(self.args.output_dir, "eval"))

    def _check_resumed(self, checkpoint: bool | str | None) -> None:
        """Check that a checkpoint that is named is one of the run."""
        if isinstance(checkpoint, (str, os.PathLike)):
            run = os.path.abspath(self.args.output_dir)
            if os.path.commonpath([run, os.path.abspath(checkpoint)]) != run:
                raise ValueError(
                    f"resume_from_checkpoint is {os.fspath(checkpoint)!r}, outside of output_dir {run!r}; a run continues "
                    "from the newest checkpoint of its own folder: set output_dir to that of the run"
                )

    def _check_new(self, run: str, checkpoint: bool | str | None) -> None:
        """Check that a run does not replace an earlier one."""
        if not checkpoint and os.path.isfile(os.path.join(run, "recipe.toml")):
            raise ValueError(
                f"{run} contains an earlier run; continue it with train(resume_from_checkpoint=True), or choose another "
                "output_dir"
            )

    def _methods(self) -> list[CallbackMethods]:
        return [callback for callback in self.callbacks if isinstance(callback, CallbackMethods)]

    def _call_methods(self, method: str) -> None:
        for callback in self._methods():
            callback.call(method)

    def _observe(self, event: str, values: str) -> bool:
        """Receive an event of the run; return true to end it."""
        row = json.loads(values)
        self.state.global_step = row.get("step", self.state.global_step)
        self.state.epoch = row.get("epoch", self.state.epoch)
        self.state.max_steps = row.get("updates", self.state.max_steps)
        if event == "step" and self._progress is not None:
            self._progress(self.state.global_step, self.state.max_steps)
        if event == "best":
            self.state.best_metric = row["best_metric"]
            return False
        if event in ("log", "evaluate"):
            self.state.log_history.append(row)
        results = [callback(event, row, self.state) for callback in self.callbacks]
        return any(result is True for result in results)

    def _recipe(self, folder: str) -> tuple[dict[str, Any], list[tuple[str, str, Any]]]:
        """Return the recipe of the run, whose data are written below a folder, and the losses in
        Python that it names."""
        data = RunData(self.train_dataset, folder)
        losses = self._losses(data)
        training = dict(self.args.training)
        if rates := self.args.learning_rate_mapping:
            groups = groups_of(rates, self.model.native.parameters(), self._model_type())
            training["groups"] = [*groups, *training.get("groups", [])]
        for each in losses.values():
            training |= each.training
        evaluation: dict[str, Any] = {}
        if self._evaluates is not None:
            evaluation["own"] = self._evaluates.names()
        if self.eval_dataset is not None:
            evaluation["sets"] = dev_loss_sets(self.eval_dataset, folder)
        card = getattr(self.model.model_card_data, "table", dict)()
        if self.args.hub_model_id:
            card.setdefault("hub_id", self.args.hub_model_id)
        recipe = {
            "model": self._model_table(),
            "data": data.table(losses, self.args.sampler, prompts=self.args.prompts, routes=self.args.router_mapping),
            "loss": next(iter(losses.values())).table,
            "training": {**training, **self._stops_early},
            "evaluation": evaluation,
            **({"card": card} if card else {}),
        }
        return recipe, _own(each.own for each in losses.values())

    def _losses(self, data: RunData) -> dict[str, Loss]:
        """Return the loss of each data set."""
        loss = self.loss or self._default_loss(data.has_labels)
        if isinstance(loss, Mapping) and not data.several:
            raise ValueError("loss is a dictionary, but train_dataset is one data set; pass a dictionary of data sets")
        given = dict(loss) if isinstance(loss, Mapping) else {name: loss for name in data.tables}
        if missing := set(data.tables) - set(given):
            raise ValueError(f"loss has none for {sorted(missing)}")
        made = {id(each): as_loss(each, self.model) for each in given.values()}
        return {name: made[id(given[name])] for name in data.tables}

    def _default_loss(self, has_labels: bool) -> Loss:
        """Return the loss of a trainer that was given none."""
        return CoSENTLoss() if has_labels else MultipleNegativesRankingLoss()

    def _model_type(self) -> str | None:
        """Return the type of the encoder of a cross-encoder, whose head is part of it."""
        return None

    def _model_table(self) -> dict[str, Any]:
        """Return the table `[model]` of the recipe."""
        native = self.model.native
        # The towers of a Router have lengths of their own.
        routed = any(module["kind"] == "Router" for module in json.loads(native.summary())["modules"])
        return {"base": native.folder, **({} if routed else {"max_seq_length": native.max_seq_length})}


def _initial(model_init: Callable[..., Any]) -> Any:
    """Return the model of a function without arguments, or of one that receives the trial of a search
    for hyperparameters, of which there is none."""
    return model_init(None) if inspect.signature(model_init).parameters else model_init()


def _own(losses: Iterable[PythonLoss | None]) -> list[tuple[str, str, Any]]:
    """Return name, parameters and function of losses in Python."""
    by_name: dict[str, PythonLoss] = {}
    for loss in losses:
        if loss is not None and by_name.setdefault(loss.name, loss) is not loss:
            raise ValueError(f"two losses have the name {loss.name!r}; give one another name by losses.PythonLoss(…, name=…)")
    return [(loss.name, loss.parameters, loss.function) for loss in by_name.values()]
