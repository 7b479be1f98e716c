"""`SentenceTransformerTrainer`: training with the reference's names and arguments."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping

from . import _maana
from ._datasets import LABELS, columns_of, is_path, is_several, write
from .evaluation import SentenceEvaluator, SequentialEvaluator
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
            columns, a list of dictionaries, or the path of a file; or a dictionary of several such
            data sets by name.
        eval_dataset: The same, for the dev loss.
        loss: A loss of `maana.losses`, or one written in Python (`losses.PythonLoss`), or a
            dictionary of losses by the name of a data set. Default: CoSENT with labels, else
            multiple negatives ranking.
        evaluator: An evaluator, or several.
        callbacks: Functions that are called with each event.

    Raises:
        TypeError: If a data set is of an unknown type.
        ValueError: If the columns do not fit the loss, or a setting is not valid.

    Example:
        >>> trainer = SentenceTransformerTrainer(model, args, train, loss=loss)  # doctest: +SKIP
        >>> trainer.train().global_step  # doctest: +SKIP
        100
    """

    def __init__(
        self,
        model: SentenceTransformer,
        args: SentenceTransformerTrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        loss: Any = None,
        evaluator: SentenceEvaluator | list[SentenceEvaluator] | None = None,
        callbacks: Iterable[Callback] | None = None,
    ) -> None:
        if train_dataset is None:
            raise ValueError("train_dataset is None; expected a data set")
        self.model = model
        self.args = args or SentenceTransformerTrainingArguments()
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.loss, self.evaluator = loss, evaluator
        self.callbacks = list(callbacks or [])
        self.state = TrainerState()

    def add_callback(self, callback: Callback) -> None:
        """Add a function that is called with each event."""
        self.callbacks.append(callback)

    def train(self, resume_from_checkpoint: bool | str | None = None) -> TrainOutput:
        """Train the model.

        Args:
            resume_from_checkpoint: Continue the run of the folder from its newest checkpoint, to
                the same bits as without the interruption.

        Raises:
            ValueError: If the folder holds an earlier run and ``resume_from_checkpoint`` is not set.
            KeyboardInterrupt: At Ctrl-C, after a checkpoint was written.
            Exception: That of a callback or of a loss written in Python.
        """
        folder = self.args.output_dir
        recipe, own = self._recipe(os.path.join(folder, "data"))
        run = os.path.join(folder, "run")
        path, scores = _maana.train(json.dumps(recipe), folder, run, bool(resume_from_checkpoint), self._observe, own)
        self.model._reopen(path)
        metrics = {f"eval_{name}": value for name, value in json.loads(scores).items()}
        losses = [row["loss"] for row in self.state.log_history if "loss" in row]
        mean = sum(losses) / len(losses) if losses else float("nan")
        return TrainOutput(self.state.global_step, mean, metrics)

    def evaluate(self) -> dict[str, float]:
        """Return the measures of the evaluators for the model as it is now."""
        measures: dict[str, float] = {}
        for evaluator in _flat(self.evaluator):
            measures |= {f"eval_{name}": value for name, value in evaluator(self.model).items()}
        return measures

    def save_model(self, output_dir: str | None = None) -> None:
        """Write the model to a folder."""
        self.model.save_pretrained(output_dir or os.path.join(self.args.output_dir, "model"))

    def _observe(self, event: str, values: str) -> bool:
        """Receive an event of the run; return true to end it."""
        row = json.loads(values)
        self.state.global_step = row.get("step", self.state.global_step)
        self.state.epoch = row.get("epoch", self.state.epoch)
        self.state.max_steps = row.get("updates", self.state.max_steps)
        if event in ("log", "evaluate"):
            self.state.log_history.append(row)
        results = [callback(event, row, self.state) for callback in self.callbacks]
        return any(result is True for result in results)

    def _recipe(self, folder: str) -> tuple[dict[str, Any], list[tuple[str, str, Any]]]:
        """Return the recipe of the run, whose data are written below a folder, and the losses in
        Python that it names."""
        training = dict(self.args.training)
        several = is_several(self.train_dataset)
        sets = dict(self.train_dataset) if several else {"train": self.train_dataset}
        tables, has_labels = {}, False
        for name, dataset in sets.items():
            path, columns = self._file(folder, name, dataset)
            has_labels |= any(column in columns for column in LABELS)
            tables[name] = {"train": [path], **({"columns": columns} if columns else {})}
        loss = self.loss or self._default_loss(has_labels)
        given = dict(loss) if isinstance(loss, Mapping) else {name: loss for name in sets}
        if missing := set(sets) - set(given):
            raise ValueError(f"loss has none for {sorted(missing)}")
        made = {id(each): as_loss(each, self.model) for each in given.values()}
        losses = {name: made[id(each)] for name, each in given.items()}
        for each in losses.values():
            training |= each.training
        first = losses[next(iter(sets))]
        data: dict[str, Any] = next(iter(tables.values()))
        if several:
            data = {"sets": [{"name": name, **table, "loss": losses[name].table} for name, table in tables.items()]}
            data["sampler"] = self.args.sampler or "proportional"
        if self.args.prompts is not None:
            data["prompts"] = self.args.prompts
        recipe = {
            "model": self._model_table(),
            "data": data,
            "loss": first.table,
            "training": training,
            "evaluation": self._evaluation(folder),
        }
        return recipe, _own(each.own for each in losses.values())

    def _default_loss(self, has_labels: bool) -> Loss:
        """Return the loss of a trainer that was given none."""
        return CoSENTLoss() if has_labels else MultipleNegativesRankingLoss()

    def _model_table(self) -> dict[str, Any]:
        """Return the table `[model]` of the recipe."""
        return {"base": self.model.native.folder, "max_seq_length": self.model.max_seq_length}

    def _evaluation(self, folder: str) -> dict[str, Any]:
        evaluators = _flat(self.evaluator)
        dims = sorted({each.truncate_dim for each in evaluators if each.truncate_dim}, reverse=True)
        sets: list[dict[str, Any]] = []
        for evaluator in evaluators:
            name = evaluator.name or evaluator.kind
            if any(known["name"] == name for known in sets):
                continue
            sets.append({"name": name, "kind": evaluator.kind, "files": [os.path.abspath(evaluator.write(folder))]})
        if self.eval_dataset is not None:
            several = is_several(self.eval_dataset)
            for name, dataset in (self.eval_dataset if several else {"train": self.eval_dataset}).items():
                path, columns = self._file(folder, f"{name}.dev", dataset)
                table = {"name": name, "kind": "loss", "files": [path]}
                sets.append({**table, **({"columns": columns} if columns else {})})
        evaluation: dict[str, Any] = {"sets": sets}
        if dims:
            evaluation["dims"] = dims
        return evaluation

    @staticmethod
    def _file(folder: str, name: str, dataset: Any) -> tuple[str, list[str]]:
        """Return the path and the columns of a data set, which is written if it has no file."""
        if is_path(dataset):
            return os.path.abspath(os.fspath(dataset)), []
        columns = columns_of(dataset, name)
        path = os.path.abspath(os.path.join(folder, f"{name}.jsonl"))
        write(path, columns)
        return path, list(columns)


def _own(losses: Iterable[PythonLoss | None]) -> list[tuple[str, str, Any]]:
    """Return name, parameters and function of losses in Python."""
    by_name: dict[str, PythonLoss] = {}
    for loss in losses:
        if loss is not None and by_name.setdefault(loss.name, loss) is not loss:
            raise ValueError(f"two losses have the name {loss.name!r}; give one another name by losses.PythonLoss(…, name=…)")
    return [(loss.name, loss.parameters, loss.function) for loss in by_name.values()]


def _flat(evaluator: Any) -> list[SentenceEvaluator]:
    """Return evaluators without nesting."""
    if evaluator is None:
        return []
    several = evaluator.evaluators if isinstance(evaluator, SequentialEvaluator) else evaluator
    if isinstance(several, (list, tuple)):
        return [each for one in several for each in _flat(one)]
    return [several]
