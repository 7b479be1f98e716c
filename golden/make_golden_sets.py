"""Writes sets.json and prompts.json: batches by label and of several data sets, and gradients behind prompts, as
Sentence Transformers 6.2 gives them.

pip install sentence-transformers==6.2.0 accelerate; python golden/make_golden_sets.py

sets.json     labels and texts of three sets; for each batch sampler, sampler of sets, drop_last, seed and epoch the
              batches: number of the set, and rows in it. Built as the trainer builds them: one generator for all.
prompts.json  tiny-bert with prompts before both columns, by pooling mode and include_prompt: tokens, embeddings,
              loss, and the gradients of three parameters
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer, losses
from sentence_transformers.base.data_collator import BaseDataCollator
from sentence_transformers.base.sampler import (
    DefaultBatchSampler,
    GroupByLabelBatchSampler,
    NoDuplicatesBatchSampler,
    ProportionalBatchSampler,
    RoundRobinBatchSampler,
)
from torch.utils.data import ConcatDataset, RandomSampler

HERE = Path(__file__).parent
BATCH_SIZE = 4


class Rows:
    """The part of a data set that samplers read."""

    def __init__(self, rows):
        self.rows = rows
        self.column_names = list(rows[0])

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        return [row[key] for row in self.rows] if isinstance(key, str) else self.rows[key]

    def remove_columns(self, columns):
        return Rows([{key: value for key, value in row.items() if key not in columns} for row in self.rows])


def sets():
    random = torch.Generator().manual_seed(5)
    drawn = lambda below, count: torch.randint(below, (count,), generator=random).tolist()
    made = []
    for count, texts, labels in [(23, 9, 3), (10, 40, 4), (31, 12, 5)]:
        pairs = zip(drawn(texts, count), drawn(labels, count))
        made.append(Rows([{"text": f"t{text}", "label": label} for text, label in pairs]))
    # A frequent label, one that occurs once, and labels that do not come in their order.
    made[0].rows[4]["label"] = 9
    for row in made[2].rows[:17]:
        row["label"] = 1
    return made


SETS = sets()


def sampler_of(name, rows, drop_last, generator, seed):
    settings = dict(batch_size=BATCH_SIZE, drop_last=drop_last, valid_label_columns=["label"], generator=generator, seed=seed)
    if name == "no_duplicates":
        return NoDuplicatesBatchSampler(rows, **settings)
    if name == "group_by_label":
        return GroupByLabelBatchSampler(rows, **settings)
    return DefaultBatchSampler(RandomSampler(rows, generator=generator), **settings)


def batches(name, order, numbers, drop_last, seed, epoch):
    generator = torch.Generator()
    generator.manual_seed(seed)
    samplers = [sampler_of(name, SETS[number], drop_last, generator, seed) for number in numbers]
    if order is None:
        sampler, [number] = samplers[0], numbers
        sampler.set_epoch(epoch)
        return [[0, list(map(int, batch))] for batch in sampler], len(sampler)
    kind = {"proportional": ProportionalBatchSampler, "round_robin": RoundRobinBatchSampler}[order]
    all_rows = ConcatDataset([SETS[number] for number in numbers])
    sampler = kind(dataset=all_rows, batch_samplers=samplers, generator=generator, seed=seed)
    sampler.set_epoch(epoch)
    starts = [0] + all_rows.cumulative_sizes
    drawn = []
    for batch in sampler:
        place = max(index for index, start in enumerate(starts[:-1]) if start <= batch[0])
        drawn.append([place, [int(row) - starts[place] for row in batch]])
    return drawn, len(sampler)


runs = []
for drop_last in (False, True):
    for seed, epoch in ((42, 0), (42, 1), (7, 2)):
        for name in ("shuffle", "no_duplicates", "group_by_label"):
            for order in ("proportional", "round_robin"):
                for numbers in ([0, 1, 2], [2, 0]):
                    drawn, announced = batches(name, order, numbers, drop_last, seed, epoch)
                    runs.append(dict(batch_sampler=name, sampler=order, sets=numbers, drop_last=drop_last, seed=seed,
                                     epoch=epoch, announced=announced, batches=drawn))
        for number in (0, 2):
            drawn, announced = batches("group_by_label", None, [number], drop_last, seed, epoch)
            runs.append(dict(batch_sampler="group_by_label", sampler=None, sets=[number], drop_last=drop_last, seed=seed,
                             epoch=epoch, announced=announced, batches=drawn))
made = [dict(texts=rows["text"], labels=rows["label"]) for rows in SETS]
(HERE / "sets.json").write_text(json.dumps(dict(batch_size=BATCH_SIZE, sets=made, runs=runs)) + "\n")

PROMPTS = {"anchor": "the king of ", "positive": "a green house: "}
ROWS = [
    {"anchor": "house", "positive": "the house is green"},
    {"anchor": "water in the north", "positive": "never"},
    {"anchor": "a river and a king", "positive": "river water"},
    {"anchor": "the", "positive": "north of the river there is a house"},
]
PARAMETERS = ["embeddings.LayerNorm.weight", "encoder.layer.0.attention.self.value.bias", "encoder.layer.1.output.dense.bias"]

cases = []
for mode in ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"):
    for include_prompt in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder) / "model"
            shutil.copytree(HERE / "tiny-bert", folder)
            pooling = dict(embedding_dimension=64, pooling_mode=mode, include_prompt=include_prompt)
            (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
            model = SentenceTransformer(str(folder), device="cpu")
        collator = BaseDataCollator(preprocess_fn=model.preprocess, prompts=PROMPTS)
        batch = collator([dict(row) for row in ROWS])
        features = [
            {key.removeprefix(f"{column}_"): value for key, value in batch.items() if key.startswith(f"{column}_")}
            for column in ("anchor", "positive")
        ]
        lengths = [column["attention_mask"].sum(1).tolist() for column in features]
        loss = losses.MultipleNegativesRankingLoss(model)(features, None)
        loss.backward()
        named = {name.split("auto_model.")[-1].split("model.")[-1]: value for name, value in model.named_parameters()}
        cases.append(dict(
            pooling_mode=mode,
            include_prompt=include_prompt,
            lengths=lengths,
            prompt_lengths=[int(column["prompt_length"]) for column in features],
            loss=float(loss),
            gradients={name: named[name].grad.tolist() for name in PARAMETERS},
        ))
made = dict(prompts=PROMPTS, rows=ROWS, scale=20, cases=cases)
(HERE / "prompts.json").write_text(json.dumps(made) + "\n")
