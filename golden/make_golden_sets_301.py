"""Writes sets_301.json: batches of one data set and of several as Sentence Transformers 3.0.1 draws them, by epoch.

pip install sentence-transformers==3.0.1 torch; python golden/make_golden_sets_301.py

The rows are those of sets.json. As in the trainer, one generator is seeded once, all samplers share it, and the samplers of
several sets stay at epoch 0. With drop_last a sampler of no-duplicates batches may end early, on which the version fails; those
runs are left out.
"""

import json
from pathlib import Path

import torch
from sentence_transformers.sampler import (
    DefaultBatchSampler,
    NoDuplicatesBatchSampler,
    ProportionalBatchSampler,
    RoundRobinBatchSampler,
)
from torch.utils.data import ConcatDataset, SubsetRandomSampler

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "sets.json").read_text())
BATCH_SIZE = GOLDEN["batch_size"]
EPOCHS = 3


class Rows:
    """The part of a data set that samplers read."""

    def __init__(self, rows):
        self.rows = rows
        self.column_names = list(rows[0])

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


SETS = [Rows([{"text": text} for text in rows["texts"]]) for rows in GOLDEN["sets"]]


def sampler_of(name, rows, drop_last, generator):
    settings = dict(batch_size=BATCH_SIZE, drop_last=drop_last)
    if name == "no_duplicates":
        return NoDuplicatesBatchSampler(rows, valid_label_columns=[], generator=generator, **settings)
    return DefaultBatchSampler(SubsetRandomSampler(range(len(rows)), generator=generator), **settings)


def epochs(name, order, numbers, drop_last, seed):
    generator = torch.Generator()
    generator.manual_seed(seed)
    samplers = [sampler_of(name, SETS[number], drop_last, generator) for number in numbers]
    if order is None:
        return [[[0, list(map(int, batch))] for batch in samplers[0]] for _ in range(EPOCHS)]
    kind = {"proportional": ProportionalBatchSampler, "round_robin": RoundRobinBatchSampler}[order]
    all_rows = ConcatDataset([SETS[number] for number in numbers])
    sampler = kind(dataset=all_rows, batch_samplers=samplers, generator=generator, seed=seed)
    starts = [0] + all_rows.cumulative_sizes
    place = lambda batch: max(index for index, start in enumerate(starts[:-1]) if start <= batch[0])
    return [[[place(batch), [int(row) - starts[place(batch)] for row in batch]] for batch in sampler] for _ in range(EPOCHS)]


runs = []
for drop_last in (False, True):
    for seed in (42, 7):
        for name in ("shuffle", "no_duplicates"):
            for order, numbers in ((None, [0]), (None, [2]), *((o, n) for o in ("proportional", "round_robin") for n in ([0, 1, 2], [2, 0]))):
                try:
                    drawn = epochs(name, order, numbers, drop_last, seed)
                except RuntimeError:
                    continue
                runs.append(dict(batch_sampler=name, sampler=order, sets=numbers, drop_last=drop_last, seed=seed, epochs=drawn))
(HERE / "sets_301.json").write_text(json.dumps(dict(runs=runs)) + "\n")
print(len(runs), "runs")
