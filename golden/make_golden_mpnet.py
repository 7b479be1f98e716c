"""Golden numbers of MPNet (Sentence Transformers 6.2.0, transformers 5.24.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_mpnet.py [FOLDER OF all-mpnet-base-v2]

Writes next to this file, for the tests of `maana-model` and `maana`:
  mpnet.json               texts, token ids and embeddings of a small random MPNet with mean pooling and normalisation, whose weights
                           follow from `noise`; and, where the folder is given, embeddings of all-mpnet-base-v2
  mpnet_grads.safetensors  gradients of all parameters of the small model for sum(embeddings * noise(rows * 24, 3))
"""
import json, os, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from noise import fill, noise
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import MPNetConfig, MPNetModel

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = ["the house of the king", "water", "north and south and east and west",
         "the house of the king and the water of the river and the house of the king and the water"]
torch.set_num_threads(1)


def small_model():
    config = MPNetConfig(vocab_size=2000, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                         max_position_embeddings=40, relative_attention_num_buckets=32, pad_token_id=1, hidden_act="gelu",
                         layer_norm_eps=1e-5, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    model = MPNetModel(config, add_pooling_layer=False).eval()
    fill(model)
    return model


def main():
    tokenizer = Tokenizer.from_file(os.path.join(HERE, "tiny-bert", "tokenizer.json"))
    tokenizer.no_padding()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    model = small_model()
    rows = []
    for text in ids:
        # One text at a time: without padding there is no mask.
        states = model(input_ids=torch.tensor([text])).last_hidden_state[0]
        rows.append(torch.nn.functional.normalize(states.mean(0), dim=0))
    embeddings = torch.stack(rows)
    (embeddings * torch.from_numpy(noise(embeddings.numel(), 3)).reshape(embeddings.shape)).sum().backward()
    gradients = {name: value.grad.contiguous() for name, value in model.named_parameters()}
    save_file(gradients, os.path.join(HERE, "mpnet_grads.safetensors"))
    golden = {"texts": TEXTS, "ids": ids, "embeddings": embeddings.tolist()}
    if len(sys.argv) > 1:
        real = SentenceTransformer(sys.argv[1], device="cpu")
        texts = ["Mwanamke anashona nguo sokoni.", "The price of maize has risen again, and nobody knows why.", ""]
        golden["real"] = {"texts": texts, "embeddings": real.encode(texts, batch_size=1).tolist()}
    json.dump(golden, open(os.path.join(HERE, "mpnet.json"), "w"))
    print({name: list(value.shape) for name, value in gradients.items() if "relative" in name})


main()
