"""Numbers for the weights and gradients of small models, the same as in the Rust tests."""
import numpy as np
import torch


def noise(count, seed):
    """Numbers between -1 and 1, as in the Rust tests (xorshift64)."""
    mask = (1 << 64) - 1
    state = (seed * 0x9E3779B97F4A7C15 & mask) | 1
    out = np.empty(count, dtype=np.float32)
    for index in range(count):
        state ^= state << 13 & mask
        state ^= state >> 7
        state ^= state << 17 & mask
        out[index] = np.float32(state >> 40) / np.float32(1 << 23) - np.float32(1)
    return out


def fill(model):
    """Sets the parameters of a model by the sorted names of its tensors."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for number, name in enumerate(sorted(parameters)):
            values = torch.from_numpy(noise(parameters[name].numel(), number + 7))
            values = 1 + 0.2 * values if name.lower().endswith("norm.weight") else 0.3 * values
            parameters[name].copy_(values.reshape(parameters[name].shape))
