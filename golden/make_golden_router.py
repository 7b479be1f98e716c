"""Golden numbers of models with towers by role (Sentence Transformers 6.2.0, transformers 5.24.0, CPU, fp32).

Run:  pip install sentence-transformers==6.2.0 transformers==5.24.0
      python make_golden_router.py

Writes beside this file:
  router/   what the reference writes of a Router with a small BERT, mean pooling and Dense for queries, and tiny-bert for documents,
            and Normalize behind the Router; without the files of tiny-bert in document_0_Transformer
  router_static/  the same with a table of static embeddings for queries and tiny-bert with Dense for documents
  asym/     the modules of a model in the form of versions 2 and 3: tiny-bert, pooling, and Asym with a Dense for each role
  router.json           of all: texts and their embeddings by role (null: without one), and the upstream gradients of a backward pass
  router_grads.safetensors  gradients of the router's parameters: all of the tower of queries, some of that of documents
  asym_grads.safetensors    gradients of both Dense, and some of the shared encoder's
"""
import json, os, shutil, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Router, StaticEmbedding, Transformer
from transformers import AutoTokenizer, BertConfig, BertModel

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "tiny-bert")
torch.manual_seed(23)
torch.set_num_threads(1)

QUERIES = ["the House of the king", "water and the sea", "a man"]
DOCUMENTS = ["The House of the king and the water of the river ", "the sea", "a man said to the people that the king was there"]
SOME = ["embeddings.LayerNorm.weight", "encoder.layer.0.attention.self.value.weight", "encoder.layer.1.output.dense.bias"]


def floats(t):
    return [float(f"{x:.7g}") for x in t.detach().double().reshape(-1).tolist()]


def save(folder, name, without=()):
    target = os.path.join(HERE, name)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=lambda place, files: [f for f in files if f in without])


def measure(model):
    model.eval()
    result = {"queries": QUERIES, "documents": DOCUMENTS, "query": floats(model.encode_query(QUERIES, convert_to_tensor=True)),
              "document": floats(model.encode_document(DOCUMENTS, convert_to_tensor=True)),
              "no_role": floats(model.encode(QUERIES, convert_to_tensor=True))}
    model.zero_grad()
    total = 0
    for role, texts in [("query", QUERIES), ("document", DOCUMENTS)]:
        embeddings = model(model.preprocess(texts, task=role), task=role)["sentence_embedding"]
        upstream = torch.randn(embeddings.shape)
        result[f"{role}_upstream"] = floats(upstream)
        total = total + (embeddings * upstream).sum()
    total.backward()
    return result


def grads(pairs, name):
    gradients = {}
    for place, module, some in pairs:
        for parameter, value in module.named_parameters():
            parameter = parameter.split("auto_model.", 1)[-1]
            parameter = parameter.removeprefix("model.")
            if value.grad is not None and (some is None or parameter in some):
                gradients[f"{place}{parameter}"] = value.grad.contiguous().clone()
    save_file(gradients, os.path.join(HERE, name))
    print(name, sorted(gradients))


with tempfile.TemporaryDirectory() as place:
    small = os.path.join(place, "small")
    config = BertConfig(vocab_size=2000, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20,
                        max_position_embeddings=32, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    encoder = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    encoder.save_pretrained(small)
    AutoTokenizer.from_pretrained(TINY).save_pretrained(small)
    query = [Transformer(small), Pooling(12, "mean"), Dense(12, 64)]
    query[0].max_seq_length = 20
    document = [Transformer(TINY), Pooling(64, "cls")]
    model = SentenceTransformer(modules=[Router.for_query_document(query, document), Normalize()], device="cpu")
    result = {"router": measure(model)}
    grads([("query_0_Transformer.", query[0], None), ("query_2_Dense.", query[2], None), ("document_0_Transformer.", document[0], SOME)],
          "router_grads.safetensors")
    folder = os.path.join(place, "router")
    model.save(folder, create_model_card=False)
    shutil.rmtree(os.path.join(folder, "document_0_Transformer"))
    save(folder, "router")

    table = StaticEmbedding(AutoTokenizer.from_pretrained(TINY), embedding_dim=8)
    document = [Transformer(TINY), Pooling(64, "mean"), Dense(64, 8)]
    model = SentenceTransformer(modules=[Router.for_query_document([table], document), Normalize()], device="cpu")
    result["router_static"] = measure(model)
    grads([("query_0_StaticEmbedding.", table, None), ("document_2_Dense.", document[2], None)], "router_static_grads.safetensors")
    folder = os.path.join(place, "router_static")
    model.save(folder, create_model_card=False)
    shutil.rmtree(os.path.join(folder, "document_0_Transformer"))
    save(folder, "router_static")

    # Versions 2 and 3 named modules by numbers, wrote the module of a class as its type, and had no parameters but allow_empty_key.
    folder = os.path.join(place, "asym")
    shutil.copytree(TINY, folder)
    dense = {"query": Dense(64, 10), "document": Dense(64, 10, activation_function=torch.nn.Identity())}
    names = {"query": "139811_Dense", "document": "139822_Dense"}
    base = SentenceTransformer(TINY, device="cpu")
    entries = json.load(open(os.path.join(TINY, "modules.json")))[:2]
    entries.append({"idx": 2, "name": "2", "path": "2_Asym", "type": "sentence_transformers.models.Asym"})
    json.dump(entries, open(os.path.join(folder, "modules.json"), "w"), indent=2)
    for role, module in dense.items():
        own = os.path.join(folder, "2_Asym", names[role])
        os.makedirs(own)
        module.save(own)
    json.dump({"types": {name: "sentence_transformers.models.Dense" for name in names.values()},
               "structure": {role: [name] for role, name in names.items()},
               "parameters": {"allow_empty_key": True}}, open(os.path.join(folder, "2_Asym", "config.json"), "w"), indent=2)
    model = SentenceTransformer(folder, device="cpu")
    result["asym"] = measure(model)
    router = model[2]
    grads([("", model[0], SOME), ("query_2_Dense.", router.sub_modules["query"][0], None),
           ("document_2_Dense.", router.sub_modules["document"][0], None)], "asym_grads.safetensors")
    for name in os.listdir(folder):
        if name not in ["modules.json", "1_Pooling", "2_Asym"]:
            path = os.path.join(folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    save(folder, "asym")

json.dump(result, open(os.path.join(HERE, "router.json"), "w"), ensure_ascii=False)
