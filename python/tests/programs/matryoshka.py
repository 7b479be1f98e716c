"""A training script for Sentence Transformers, with its calls and arguments as its documentation shows
them for Matryoshka on natural-language inference. The test changes its import lines only."""

import logging
import sys
import traceback

from datasets import load_dataset

from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    losses,
)
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator, SequentialEvaluator, SimilarityFunction
from sentence_transformers.training_args import BatchSamplers

logging.basicConfig(level=logging.INFO)
model_name, output_dir = sys.argv[1:]
dims = [64, 32, 16]

model = SentenceTransformer(model_name)
logging.info(model)
train_dataset = load_dataset("sentence-transformers/all-nli", "triplet", split="train")
eval_dataset = load_dataset("sentence-transformers/all-nli", "triplet", split="dev")
logging.info(train_dataset)
loss = losses.MatryoshkaLoss(model, losses.MultipleNegativesRankingLoss(model), matryoshka_dims=dims)


def evaluator(split, name, **arguments):
    rows = load_dataset("sentence-transformers/stsb", split=split)
    by_dim = [
        EmbeddingSimilarityEvaluator(
            sentences1=rows["sentence1"],
            sentences2=rows["sentence2"],
            scores=rows["score"],
            main_similarity=SimilarityFunction.COSINE,
            name=f"{name}-{dim}",
            truncate_dim=dim,
        )
        for dim in dims
    ]
    return SequentialEvaluator(by_dim, **arguments)


args = SentenceTransformerTrainingArguments(
    output_dir=output_dir,
    num_train_epochs=1,
    per_device_train_batch_size=16,
    per_device_eval_batch_size=16,
    warmup_ratio=0.1,
    fp16=True,
    bf16=False,
    batch_sampler=BatchSamplers.NO_DUPLICATES,
    eval_strategy="steps",
    eval_steps=2,
    save_strategy="steps",
    save_steps=2,
    save_total_limit=2,
    logging_steps=2,
    run_name="matryoshka-nli",
)
trainer = SentenceTransformerTrainer(
    model=model,
    args=args,
    train_dataset=train_dataset,
    eval_dataset=eval_dataset,
    loss=loss,
    evaluator=evaluator("validation", "sts-dev", main_score_function=lambda scores: scores[0]),
)
trainer.train()
print(evaluator("test", "sts-test")(model))
model.save(f"{output_dir}/final")
try:
    model.push_to_hub("tiny-nli-matryoshka")
except Exception:
    logging.error(f"Error uploading model to the Hugging Face Hub:\n{traceback.format_exc()}")
