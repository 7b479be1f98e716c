"""Sentence Transformers on PyTorch: `encode` and `predict` as users call them, its losses in a bare training loop, its evaluators.

Best settings: f32 or bf16 weights for encoding (texts sorted by length within `encode`, inference mode, scaled dot product
attention); for training f32, or bf16 autocast over f32 weights, with fused AdamW, and the padding of its own collator. The loop is
bare: the trainer's own cost for logging and schedules is not counted against it.
"""

import protocol

arguments = protocol.arguments()

import torch
from sentence_transformers import SentenceTransformer

BATCH = 32
torch.set_num_threads(arguments.threads)


def open_model(**settings):
    return SentenceTransformer(arguments.model, device="cpu", model_kwargs=settings)


def encode():
    model = open_model(dtype=torch.bfloat16 if arguments.precision == "bf16" else torch.float32)
    texts = [row["positive"] for row in protocol.rows(arguments.texts)]
    tokens = sum(map(len, model.tokenizer(texts, truncation=True)["input_ids"]))

    def round_of_work():
        embeddings = model.encode(texts, batch_size=BATCH, show_progress_bar=False, convert_to_tensor=True)
        return tokens, protocol.first(embeddings.float().numpy())

    protocol.serve(round_of_work)


def rerank():
    from sentence_transformers import CrossEncoder

    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    model = CrossEncoder(arguments.model, device="cpu", model_kwargs={"dtype": dtype})
    query, passages = protocol.passages(arguments.texts)
    pairs = [(query, passage) for passage in passages]
    tokens = sum(map(len, model.tokenizer([query] * len(passages), passages, truncation=True)["input_ids"]))

    def round_of_work():
        scores = model.predict(pairs, batch_size=BATCH, show_progress_bar=False, convert_to_tensor=True)
        return tokens, protocol.first(scores.float().numpy().reshape(-1, 1))

    protocol.serve(round_of_work)


def train():
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

    model = open_model(dtype=torch.float32)
    model.train()
    loss = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model), matryoshka_dims=arguments.dims)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    rows = protocol.rows(arguments.texts)
    columns = [[row[name] for row in rows] for name in ("positive", "anchor")]
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.precision == "bf16")

    def round_of_work():
        features = [model.preprocess(column) for column in columns]
        tokens = sum(int(column["attention_mask"].sum()) for column in features)
        with autocast:
            value = loss(features, None)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return tokens, {"loss": value.item()}

    protocol.serve(round_of_work)


def evaluate():
    import csv
    import os
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator, SequentialEvaluator

    model = open_model(dtype=torch.bfloat16 if arguments.precision == "bf16" else torch.float32)
    named = lambda file: {row["_id"]: row["text"] for row in protocol.rows(os.path.join(arguments.set, file))}
    queries, corpus = named("queries.jsonl"), named("corpus.jsonl")
    with open(os.path.join(arguments.set, "qrels", "test.tsv"), encoding="utf-8") as lines:
        judgements = list(csv.DictReader(lines, delimiter="\t"))
    relevant = {}
    for row in judgements:
        relevant.setdefault(row["query-id"], set()).add(row["corpus-id"])
    evaluator = SequentialEvaluator(
        [
            InformationRetrievalEvaluator(
                queries, corpus, relevant, truncate_dim=dim, name=str(dim), write_csv=False, batch_size=BATCH
            )
            for dim in arguments.dims
        ]
    )
    tokens = sum(map(len, model.tokenizer([*queries.values(), *corpus.values()], truncation=True)["input_ids"]))

    def round_of_work():
        scores = evaluator(model)
        return tokens, {"ndcg_at_10": [scores[f"{dim}_cosine_ndcg@10"] for dim in arguments.dims]}

    protocol.serve(round_of_work)


def start():
    open_model().encode([protocol.rows(arguments.texts)[0]["positive"]], show_progress_bar=False)


{"encode": encode, "rerank": rerank, "train": train, "evaluate": evaluate, "start": start}[arguments.mode]()
