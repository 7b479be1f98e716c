"""Golden numbers of cross-encoders made of modules (Sentence Transformers 6.2.0, transformers 5.24.0, torch 2.15.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_cross_modules.py

Writes beside this file, for the tests of `maana-model`:
  cross_modules/NAME/              tiny cross-encoders of Transformer, Pooling and modules behind it, of which the last is a Dense whose
                                   output is `scores`, as Sentence Transformers writes them
  cross_modules_grads.safetensors  for each of them the gradient of every parameter, NAME/MODULE/PARAMETER, of sum(logits * upstream)
  cross_modules.json:
    models   of each folder: the number of labels, the largest number of tokens, logits and scores of the pairs of cross.json
"""
import json, os, shutil, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from make_golden_cross import HERE, MODERN, PAIRS, SHAPE, TOKENIZERS, UPSTREAM, floats
from noise import noise
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder
from sentence_transformers.sentence_transformer.modules import Dense, Dropout, LayerNorm, Normalize, Pooling, Transformer
from transformers import AutoConfig, AutoModel

OUT = os.path.join(HERE, "cross_modules")
IDENTITY = torch.nn.Identity()


def scores(inputs, outputs, activation=IDENTITY, **options):
    return Dense(inputs, outputs, activation_function=activation, module_output_name="scores", **options)


# Of each folder: name, tokenizer, fields of the configuration, modules behind the transformer.
MODELS = [
    ("mean", "bert", SHAPE | {"type_vocab_size": 2}, lambda: [Pooling(16, "mean"), scores(16, 1)]),
    ("classes", "roberta", SHAPE | {"type_vocab_size": 1, "max_position_embeddings": 42},
     lambda: [Pooling(16, ["cls", "max"]), Dense(32, 8, activation_function=torch.nn.GELU()), LayerNorm(8), Dropout(0.1), scores(8, 3)]),
    ("modernbert", "modernbert", MODERN, lambda: [Pooling(16, "lasttoken"), Normalize(), scores(16, 1, torch.nn.Tanh(), bias=False,
                                                                                              use_residual=True)]),
]


def make(name, tokenizer_name, fields, behind):
    """Builds a model of random weights."""
    _, model_type, tokenizer_config, description = next(t for t in TOKENIZERS if t[0] == tokenizer_name)
    config = AutoConfig.for_model(model_type, vocab_size=len(description["model"]["vocab"]) + 4, **fields)
    torch.manual_seed(len(name))
    encoder = AutoModel.from_config(config).eval()
    with tempfile.TemporaryDirectory() as place:
        encoder.save_pretrained(place)
        longest = fields["max_position_embeddings"] - (2 if model_type == "roberta" else 0)
        json.dump(description, open(os.path.join(place, "tokenizer.json"), "w"))
        json.dump(tokenizer_config | {"model_max_length": longest}, open(os.path.join(place, "tokenizer_config.json"), "w"))
        model = CrossEncoder(modules=[Transformer(place), *behind()], device="cpu")
    with torch.no_grad():
        for number, (parameter, value) in enumerate(model.named_parameters()):
            values = torch.from_numpy(noise(value.numel(), number + 11)).reshape(value.shape)
            value.copy_(1 + 0.2 * values if value.dim() == 1 and "norm.weight" in parameter.lower() else 0.3 * values)
    model.save_pretrained(os.path.join(OUT, name), create_model_card=False)


def gradients(model):
    model.zero_grad()
    for pair, upstream in zip(PAIRS, UPSTREAM[model.num_labels]):
        (model(model.preprocess([pair]))["scores"][0] * upstream).sum().backward()
    found = {}
    for number, module in enumerate(model):
        for parameter, value in module.named_parameters():
            parameter = parameter.removeprefix("auto_model.").removeprefix("model.")
            if value.grad is not None:
                found[f"{number}/{parameter}"] = value.grad.contiguous()
    return found


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    result, all_gradients = [], {}
    for name, *rest in MODELS:
        make(name, *rest)
        model = CrossEncoder(os.path.join(OUT, name), device="cpu", local_files_only=True).eval()
        each = lambda **options: torch.cat([torch.tensor(model.predict([pair], **options)).reshape(1, -1) for pair in PAIRS])
        logits = each(activation_fn=IDENTITY)
        result.append({"name": name, "labels": model.num_labels, "max_length": model.max_seq_length, "logits": floats(logits),
                       "scores": floats(each())})
        all_gradients |= {f"{name}/{key}": value for key, value in gradients(model).items()}
        print(name, model.max_seq_length, logits[:3].flatten().tolist())
    save_file(all_gradients, os.path.join(HERE, "cross_modules_grads.safetensors"))
    with open(os.path.join(HERE, "cross_modules.json"), "w", encoding="utf-8") as file:
        json.dump({"models": result}, file, separators=(",", ":"))
        file.write("\n")


main()
