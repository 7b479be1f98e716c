"""Weights as torch.save writes them (torch 2.15, transformers 5.24.0).

Run:  pip install torch transformers==5.24.0 safetensors
      python make_golden_torch.py

Writes into torch/ beside this file:
  tensors.bin, tensors.safetensors  tensors of every type and layout, and the same in order: strides, offsets, shared and
                      expanded storages, no dimension, no element
  state_dict.bin      the weights of cross/bert as save_pretrained of older versions writes them: a state dict with its metadata
  parameters.bin      the same as parameters that train
  views.bin           the same as parts of one storage: transposed, in steps, tied, with the buffer of positions
  f64.bin, f16.bin, bf16.bin, and .safetensors of each   the same in other types
  shards/             the same in two files with an index
  adapter_model.bin   the adapters of lora/
  2_Dense.bin, 3_LayerNorm.bin, 5_Dense.bin  the weights of modules/
  legacy/             in the form of before PyTorch 1.6: tensors, state_dict, views, adapter_model and 2_Dense as above
  legacy/parts.bin    the same weights as state_dict in the form of before PyTorch 0.4: parts of one storage
"""
import json, os, pickle, struct
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from collections import OrderedDict
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = os.path.join(HERE, "torch")
for folder in ["shards", "legacy"]:
    os.makedirs(os.path.join(PLACE, folder), exist_ok=True)
torch.manual_seed(7)


def save(tensors, name):
    # The name of the file is that of the folder in the archive.
    torch.save(tensors, os.path.join(PLACE, name))


def save_twin(tensors, name):
    save(tensors, f"{name}.bin")
    save_file({key: value.detach().clone().contiguous() for key, value in tensors.items()}, os.path.join(PLACE, f"{name}.safetensors"))


storage = torch.arange(60, dtype=torch.float32)
table = torch.randn(5, 4)
tensors = {
    "whole": table,
    "tied": table,
    "transposed": table.T,
    "offset": storage[7:19].view(3, 4),
    "steps": storage[1:49:3].view(4, 4)[:, ::2],
    "column": table[:, 2],
    "permuted": torch.randn(2, 3, 4, 5).permute(3, 0, 2, 1),
    "expanded": torch.randn(3, 1).expand(3, 4),
    "one of each": torch.randn(1, 3, 1).transpose(0, 2),
    "number": torch.tensor(2.5),
    "number of a storage": storage[11],
    "empty": torch.empty(0, 3),
    "empty in the middle": torch.randn(4, 3)[:, 1:1],
    "parameter": torch.nn.Parameter(torch.randn(3)),
    "positions": torch.arange(9).expand((1, -1)),
    "steps of bf16": torch.randn(6).to(torch.bfloat16)[::2],
}
for dtype in ["float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"]:
    tensors[dtype] = torch.tensor([[0, 1, 2], [3, 100, 5]]).to(getattr(torch, dtype))
tensors["bool"] = torch.tensor([True, False, True])
tensors["minus zero, tiny"] = torch.tensor([-0.0, 1e-42, -3.4e38])
save_twin(tensors, "tensors")

weights = load_file(os.path.join(HERE, "cross/bert/model.safetensors"))
model = BertForSequenceClassification.from_pretrained(os.path.join(HERE, "cross/bert"), dtype=torch.float32)
state = model.state_dict()
assert all(torch.equal(state[name], weights[name]) for name in weights) and hasattr(state, "_metadata")
save(state, "state_dict.bin")
save({name: torch.nn.Parameter(value) for name, value in weights.items()}, "parameters.bin")

flat = torch.zeros(sum(2 * value.numel() for value in weights.values()))
views, start = OrderedDict(), 0
for number, (name, value) in enumerate(weights.items()):
    count = value.numel()
    if value.dim() == 2 and number % 2:
        view = flat[start:start + count].view(value.shape[1], value.shape[0]).T
    elif number % 3 == 0:
        view = flat[start:start + 2 * count:2].view(value.shape) if value.dim() == 1 else torch.as_strided(
            flat, value.shape, (2 * value.shape[1], 2), start)
    else:
        view = flat[start:start + count].view(value.shape)
    view.copy_(value)
    views[name] = view
    start += 2 * count
views["bert.embeddings.position_ids"] = torch.arange(weights["bert.embeddings.position_embeddings.weight"].shape[0]).expand((1, -1))
views["cls.predictions.decoder.weight"] = views["bert.embeddings.word_embeddings.weight"]
save(views, "views.bin")

for dtype, name in [(torch.float64, "f64"), (torch.float16, "f16"), (torch.bfloat16, "bf16")]:
    save_twin({key: value.to(dtype) for key, value in weights.items()}, name)

names, place = sorted(weights), {}
for number, part in enumerate([names[:9], names[9:]], 1):
    file = f"pytorch_model-{number:05}-of-00002.bin"
    save({name: weights[name] for name in part}, os.path.join("shards", file))
    place.update({name: file for name in part})
with open(os.path.join(PLACE, "shards/pytorch_model.bin.index.json"), "w") as index:
    json.dump({"metadata": {"total_size": 4 * sum(value.numel() for value in weights.values())}, "weight_map": place}, index, indent=1)

save(load_file(os.path.join(HERE, "lora/adapter_model.safetensors")), "adapter_model.bin")
for module in ["2_Dense", "3_LayerNorm", "5_Dense"]:
    save(load_file(os.path.join(HERE, "modules", module, "model.safetensors")), f"{module}.bin")


def save_legacy(tensors, name):
    torch.save(tensors, os.path.join(PLACE, "legacy", name), _use_new_zipfile_serialization=False)


save_legacy(tensors, "tensors.bin")
save_legacy(state, "state_dict.bin")
save_legacy(views, "views.bin")
save_legacy(load_file(os.path.join(HERE, "lora/adapter_model.safetensors")), "adapter_model.bin")
save_legacy(load_file(os.path.join(HERE, "modules/2_Dense/model.safetensors")), "2_Dense.bin")


class Part:
    """A tensor in its order, as a part of the storage of all."""

    def __init__(self, start, value):
        self.start, self.value = start, value

    def __reduce__(self):
        strides = self.value.contiguous().stride()
        return torch._utils._rebuild_tensor, (StoragePart(self.start, self.value.numel()), 0, tuple(self.value.shape), strides)


class StoragePart:
    def __init__(self, start, count):
        self.start, self.count = start, count


class OldPickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, StoragePart):
            return "storage", torch.FloatStorage, "94", "cpu", total, (f"94-{value.start}", value.start, value.count)


parts, total = OrderedDict(), 0
for name, value in weights.items():
    parts[name] = Part(total, value)
    total += value.numel()
with open(os.path.join(PLACE, "legacy/parts.bin"), "wb") as file:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for value in [0x1950A86A20F9469CFC6C, 1001, system]:
        pickle.dump(value, file, protocol=2)
    OldPickler(file, protocol=2).dump(parts)
    pickle.dump(["94"], file, protocol=2)
    file.write(struct.pack("<q", total) + b"".join(value.numpy().tobytes() for value in weights.values()))
read = torch.load(os.path.join(PLACE, "legacy/parts.bin"), weights_only=True)
assert all(torch.equal(read[name], weights[name]) for name in weights) and len(read) == len(weights)
