"""Writes blend.json: blends as Sentence Transformers 6.2 computes them with mergekit, and an average as PyTorch does.

pip install sentence-transformers[merge]==6.2.0; python golden/make_golden_blend.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from mergekit.merge_methods import get, merge_state_dicts
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

rng = np.random.default_rng(11)
SHAPES = {"words": (7, 5), "bias": (5,)}


def tensors(like=None):
    drawn = {name: rng.standard_normal(shape).astype(np.float32).round(3) for name, shape in SHAPES.items()}
    if like is None:
        return drawn
    return {name: (like[name] + 0.5 * drawn[name]).astype(np.float32).round(3) for name in SHAPES}


def flat(state):
    return [float(value) for name in SHAPES for value in np.asarray(state[name], dtype=np.float32).ravel()]


base = tensors()
models = [base, tensors(base), tensors(base), tensors()]


def merged(method, numbers, base_index=None, **parameters):
    states = {index: {name: torch.tensor(value) for name, value in models[number].items()}
              for index, number in enumerate(numbers)}
    result = merge_state_dicts(states, get(method), base=base_index, parameters=parameters, dtype=torch.float32)
    return flat({name: value.numpy() for name, value in result.items()})


blends = []
for numbers, weights in (([0, 1], [0.3, 0.7]), ([0, 1, 2, 3], [0.1, 0.2, 0.3, 0.4])):
    blends.append({"method": "linear", "models": numbers, "weights": weights,
                   "blended": merged("linear", numbers, weight=weights)})
for numbers in ([0, 1], [0, 3]):
    for share in (0.25, 0.7):
        blends.append({"method": "slerp", "models": numbers, "weights": [1 - share, share],
                       "blended": merged("slerp", numbers, 0, t=share)})
for density, scale, weights in ((1.0, 1.0, [1.0, 1.0]), (0.2, 1.0, [1.0, 1.0]), (0.5, 0.7, [0.4, 1.2])):
    blends.append({"method": "ties", "models": [0, 1, 2], "weights": weights, "density": density, "lambda": scale,
                   "blended": merged("ties", [0, 1, 2], 0, weight=weights, density=density, **{"lambda": scale})})

# A module of one parameter, changed by hand after each update.
module = torch.nn.Linear(1, 1, bias=False)
average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9))
steps = [float(value) for value in rng.standard_normal(6).astype(np.float32).round(3)]
averages = []
for value in steps:
    with torch.no_grad():
        module.weight.fill_(value)
    average.update_parameters(module)
    averages.append(float(average.module.weight))

golden = {"shapes": {name: list(shape) for name, shape in SHAPES.items()}, "models": [flat(model) for model in models],
          "blends": blends, "average": {"decay": 0.9, "parameters": steps, "averages": averages}}
Path(__file__).with_name("blend.json").write_text(json.dumps(golden) + "\n")
