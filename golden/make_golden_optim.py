"""Writes optim.json: learning rates of the schedules of transformers and PyTorch, and updates by AdamW with groups of
parameters, by Adafactor and by SparseAdam.

pip install transformers==5.24.0 torch; python golden/make_golden_optim.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import get_scheduler
from transformers.optimization import Adafactor

rng = np.random.default_rng(11)
UPDATES = 5


def schedule(name, warmup, steps, rate, parameters):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = get_scheduler(name, optimizer, warmup, steps, dict(parameters))
    rates = []
    for _ in range(steps + 1):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {"name": name, "warmup": warmup, "steps": steps, "learning_rate": rate, "parameters": parameters, "rates": rates}


def plateau(mode, values, parameters):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, **parameters)
    rates = []
    for value in values:
        scheduler.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"mode": mode, "values": values, "parameters": parameters, "rates": rates}


def floats(array):
    return [float(x) for x in np.asarray(array, dtype=np.float32).reshape(-1)]


def updates(make, shapes, settings, gradients=None):
    """Applies UPDATES updates to parameters of these shapes, with a schedule that halves the rate."""
    parameters = [torch.nn.Parameter(torch.from_numpy(rng.standard_normal(shape).astype(np.float32))) for shape in shapes]
    start = [floats(p.detach()) for p in parameters]
    optimizer = make(parameters)
    base = [group["lr"] for group in optimizer.param_groups]
    steps = []
    for step in range(UPDATES):
        scale = 0.5**step
        for group, rate in zip(optimizer.param_groups, base):
            group["lr"] = rate * scale
        given = []
        for index, p in enumerate(parameters):
            g = rng.standard_normal(p.shape).astype(np.float32)
            if gradients is not None:
                g = gradients(step, index, g)
            given.append(floats(g))
            p.grad = torch.from_numpy(g)
        if settings.get("sparse"):
            rows = np.flatnonzero(np.abs(g).sum(axis=1))
            p.grad = torch.sparse_coo_tensor(torch.from_numpy(rows)[None], torch.from_numpy(g[rows]), g.shape)
        optimizer.step()
        steps.append({"scale": scale, "gradients": given, "parameters": [floats(p.detach()) for p in parameters]})
    return {"shapes": [list(shape) for shape in shapes], "settings": settings, "start": start, "steps": steps}


def adamw(parameters):
    first, second, third = parameters
    groups = [
        {"params": [first], "lr": 1e-2, "weight_decay": 0.1},
        {"params": [second], "lr": 1e-3, "weight_decay": 0.0},
        {"params": [third], "lr": 5e-2, "weight_decay": 0.5},
    ]
    return torch.optim.AdamW(groups, lr=1e-2, betas=(0.8, 0.99), eps=1e-6)


def adafactor(scale_parameter, weight_decay, clip_threshold):
    def make(parameters):
        return Adafactor(
            parameters,
            lr=1e-2,
            scale_parameter=scale_parameter,
            relative_step=False,
            weight_decay=weight_decay,
            clip_threshold=clip_threshold,
        )

    settings = {"scale_parameter": scale_parameter, "weight_decay": weight_decay, "clip_threshold": clip_threshold}
    return updates(make, [(6, 5), (7,), (1, 4)], settings)


def some_rows(step, index, g):
    g[[row for row in range(len(g)) if (row + step) % 3]] = 0
    return g


golden = {
    "schedules": [
        schedule("linear", 3, 20, 5e-5, {}),
        schedule("cosine", 3, 20, 5e-5, {}),
        schedule("constant_with_warmup", 3, 20, 5e-5, {}),
        schedule("cosine_with_restarts", 3, 20, 5e-5, {}),
        schedule("cosine_with_restarts", 2, 23, 5e-5, {"num_cycles": 3}),
        schedule("cosine_with_min_lr", 3, 20, 5e-5, {"min_lr": 1e-5}),
        schedule("cosine_with_min_lr", 0, 20, 5e-5, {"min_lr_rate": 0.1, "num_cycles": 1.5}),
        schedule("polynomial", 3, 20, 5e-5, {}),
        schedule("polynomial", 3, 20, 5e-5, {"power": 2.5, "lr_end": 1e-6}),
        schedule("inverse_sqrt", 4, 30, 5e-5, {}),
        schedule("inverse_sqrt", 0, 30, 5e-5, {}),
        schedule("inverse_sqrt", 4, 30, 5e-5, {"timescale": 7}),
        schedule("warmup_stable_decay", 4, 30, 5e-5, {"num_decay_steps": 10}),
        schedule(
            "warmup_stable_decay",
            4,
            30,
            5e-5,
            {"num_decay_steps": 10, "num_stable_steps": 12, "warmup_type": "cosine", "decay_type": "linear", "min_lr_ratio": 0.2},
        ),
        schedule(
            "warmup_stable_decay",
            5,
            30,
            5e-5,
            {"num_decay_steps": 9, "warmup_type": "1-sqrt", "decay_type": "1-sqrt", "min_lr_ratio": 0.05},
        ),
        schedule("warmup_stable_decay", 0, 12, 5e-5, {"num_decay_steps": 20, "num_cycles": 1.5}),
    ],
    "plateaus": [
        plateau("max", [0.1, 0.2, 0.2, 0.19, 0.2, 0.21, 0.2, 0.2, 0.2, 0.2], {"patience": 1}),
        plateau("min", [3.0, 2.0, 2.5, 2.1, 1.9999, 2.0, 1.0, 1.5, 1.2, 1.1], {"patience": 0, "factor": 0.5, "cooldown": 1}),
        plateau(
            "max",
            [1.0, 1.05, 1.08, 1.2, 1.1, 1.1, 1.1, 1.1],
            {"patience": 1, "factor": 0.3, "threshold": 0.1, "threshold_mode": "abs", "min_lr": 2e-4},
        ),
        plateau("min", [1.0, 1.0, 1.0, 1.0], {"patience": 0, "factor": 0.5, "eps": 3e-4}),
        plateau("max", [-2.0, -1.99, -1.5, -1.5, -1.6, -1.5], {"patience": 0, "factor": 0.5, "threshold": 0.01}),
    ],
    "adamw": updates(adamw, [(4, 3), (5,), (3, 2)], {}),
    "adafactor": [adafactor(False, 0.0, 1.0), adafactor(True, 0.1, 0.5)],
    "sparse_adam": updates(
        lambda parameters: torch.optim.SparseAdam(parameters, lr=1e-2, betas=(0.8, 0.99), eps=1e-8),
        [(9, 4)],
        {"sparse": True},
        some_rows,
    ),
}
path = Path(__file__).parent / "optim.json"
path.write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")
print(path, path.stat().st_size)
