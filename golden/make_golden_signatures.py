"""Writes python_signatures.json: the arguments of the functions of Sentence Transformers 6.2 that the Python package has, with
kind and default.

pip install sentence-transformers==6.2.0; python golden/make_golden_signatures.py
"""

import inspect
import json
from pathlib import Path

from sentence_transformers import CrossEncoder, SentenceTransformer, util
from sentence_transformers.cross_encoder import evaluation as cross_evaluation
from sentence_transformers.sentence_transformer import modules
from sentence_transformers.util import quantization

METHODS = {
    SentenceTransformer: "__init__ encode encode_query encode_document encode_multi_process similarity similarity_pairwise tokenize "
    "preprocess save save_pretrained push_to_hub evaluate truncate_embeddings get_embedding_dimension "
    "get_max_seq_length start_multi_process_pool stop_multi_process_pool set_pooling_include_prompt is_singular_input supports",
    CrossEncoder: "__init__ predict rank save save_pretrained push_to_hub evaluate is_singular_input",
    util: "cos_sim pytorch_cos_sim dot_score euclidean_sim manhattan_sim pairwise_cos_sim pairwise_dot_score pairwise_euclidean_sim "
    "pairwise_manhattan_sim pairwise_angle_sim normalize_embeddings truncate_embeddings semantic_search information_retrieval "
    "paraphrase_mining paraphrase_mining_embeddings community_detection mine_hard_negatives quantize_embeddings",
    quantization: "quantize_embeddings semantic_search_faiss semantic_search_usearch",
    modules: "Transformer Pooling Normalize Dense LayerNorm Dropout StaticEmbedding Router",
    modules.StaticEmbedding: "from_distillation from_model2vec",
    modules.Router: "for_query_document",
    cross_evaluation: "CrossEncoderClassificationEvaluator CrossEncoderCorrelationEvaluator CrossEncoderRerankingEvaluator "
    "CrossEncoderNanoBEIREvaluator",
}


def default(value):
    if value is inspect.Parameter.empty:
        return {"required": True}
    if callable(value) or (isinstance(value, tuple) and value):
        return {"default": getattr(value, "__name__", type(value).__name__)}
    return {"default": value}


signatures = {}
for owner, names in METHODS.items():
    for name in names.split():
        found = inspect.getattr_static(owner, name) if inspect.isclass(owner) else getattr(owner, name)
        found = getattr(owner, name) if isinstance(found, (property, classmethod, staticmethod)) else found
        if isinstance(found, property):
            continue
        arguments = [
            {"name": argument.name, "kind": argument.kind.name, **default(argument.default)}
            for argument in inspect.signature(found).parameters.values()
            if argument.name != "self"
        ]
        signatures[f"{owner.__name__.split('.')[-1]}.{name}"] = arguments
text = json.dumps(signatures, indent=0, separators=(",", ":")) + "\n"
Path(__file__).with_name("python_signatures.json").write_text(text, encoding="utf-8")
print(len(signatures))
