"""Encodes with Model2Vec for `cargo xtask bench-static`, in its best setting: large batches, tokenised on all threads."""

from protocol import arguments, first, rows, serve

options = arguments()

from model2vec import StaticModel  # noqa: E402  (after the variables that set the threads)

model = StaticModel.from_pretrained(options.model, max_length=None, normalize=True)
texts = [row["positive"] for row in rows(options.texts)]


def encode():
    embeddings = model.encode(texts, batch_size=1024, max_length=None)
    return 0, first(embeddings)


serve(encode)
