"""A training script of a reranker for Sentence Transformers, with its calls and arguments as its
documentation shows them for cross-encoders. The test changes its import lines only."""

import logging
import sys
import traceback

from datasets import load_dataset

from sentence_transformers import SentenceTransformer
from sentence_transformers.cross_encoder import (
    CrossEncoder,
    CrossEncoderModelCardData,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder.evaluation import (
    CrossEncoderCorrelationEvaluator,
    CrossEncoderRerankingEvaluator,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss, CachedMultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.evaluation import SequentialEvaluator
from sentence_transformers.util import mine_hard_negatives

logging.basicConfig(level=logging.INFO)
model_name, embedding_model_name, output_dir = sys.argv[1:]


def new_model(name):
    return CrossEncoder(
        model_name, model_card_data=CrossEncoderModelCardData(language="sw", license="apache-2.0", model_name=name)
    )


def arguments(run_name, **others):
    return CrossEncoderTrainingArguments(
        output_dir=f"{output_dir}/{run_name}",
        num_train_epochs=1,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        learning_rate=2e-5,
        warmup_steps=0.1,
        fp16=False,
        bf16=False,
        dataloader_num_workers=4,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        save_total_limit=2,
        logging_steps=1,
        logging_first_step=True,
        run_name=run_name,
        seed=12,
        **others,
    )


full_dataset = load_dataset("sentence-transformers/gooaq", split="train")
dataset_dict = full_dataset.train_test_split(test_size=12, seed=12)
train_dataset, eval_dataset = dataset_dict["train"], dataset_dict["test"]
embedding_model = SentenceTransformer(embedding_model_name, device="cpu")

# Ranking within the batch, without mined negatives.
model = new_model("Ranked")
print("Model max length:", model.max_length)
print("Model num labels:", model.num_labels)
trainer = CrossEncoderTrainer(
    model=model,
    args=arguments("ranked"),
    train_dataset=train_dataset,
    eval_dataset=eval_dataset,
    loss=CachedMultipleNegativesRankingLoss(model=model, num_negatives=5, mini_batch_size=32),
)
trainer.train()

# Labelled pairs with mined negatives, and evaluators.
model = new_model("Mined")
hard_train_dataset = mine_hard_negatives(
    train_dataset,
    embedding_model,
    num_negatives=2,
    range_min=0,
    range_max=10,
    sampling_strategy="top",
    batch_size=4096,
    output_format="labeled-pair",
)
hard_eval_dataset = mine_hard_negatives(
    eval_dataset,
    embedding_model,
    corpus=full_dataset["answer"],
    num_negatives=6,
    batch_size=4096,
    include_positives=True,
    output_format="n-tuple",
)
reranking_evaluator = CrossEncoderRerankingEvaluator(
    samples=[
        {
            "query": sample["question"],
            "positive": [sample["answer"]],
            "documents": [sample[column_name] for column_name in hard_eval_dataset.column_names[2:]],
        }
        for sample in hard_eval_dataset
    ],
    batch_size=16,
    name="gooaq-dev",
    always_rerank_positives=False,
)
pairs = list(zip(eval_dataset["question"], eval_dataset["answer"]))
correlation_evaluator = CrossEncoderCorrelationEvaluator(
    sentence_pairs=pairs, scores=[number / len(pairs) for number in range(len(pairs))], name="order"
)
evaluator = SequentialEvaluator([correlation_evaluator, reranking_evaluator])
evaluator(model)
trainer = CrossEncoderTrainer(
    model=model,
    args=arguments("mined", load_best_model_at_end=True, metric_for_best_model="eval_gooaq-dev_ndcg@10"),
    train_dataset=hard_train_dataset,
    loss=BinaryCrossEntropyLoss(model=model, pos_weight=2.0),
    evaluator=evaluator,
)
trainer.train()
print(evaluator(model))
final_output_dir = f"{output_dir}/final"
model.save_pretrained(final_output_dir)
try:
    model.push_to_hub("reranker")
except Exception:
    logging.error(f"Error uploading model to the Hugging Face Hub:\n{traceback.format_exc()}")
