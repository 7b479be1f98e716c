"""The names of ``sentence_transformers.base.sampler``; samplers in Python are refused."""

from .._refusals import refused_class
from ..training_args import BatchSamplers, MultiDatasetBatchSamplers

_BATCHES = "set batch_sampler of the arguments to one of BatchSamplers"
_SETS = "set multi_dataset_batch_sampler of the arguments to one of MultiDatasetBatchSamplers"

DefaultBatchSampler = refused_class("DefaultBatchSampler", _BATCHES)
GroupByLabelBatchSampler = refused_class("GroupByLabelBatchSampler", _BATCHES)
NoDuplicatesBatchSampler = refused_class("NoDuplicatesBatchSampler", _BATCHES)
MultiDatasetDefaultBatchSampler = refused_class("MultiDatasetDefaultBatchSampler", _SETS)
ProportionalBatchSampler = refused_class("ProportionalBatchSampler", _SETS)
RoundRobinBatchSampler = refused_class("RoundRobinBatchSampler", _SETS)

__all__ = [
    "BatchSamplers",
    "DefaultBatchSampler",
    "GroupByLabelBatchSampler",
    "MultiDatasetBatchSamplers",
    "MultiDatasetDefaultBatchSampler",
    "NoDuplicatesBatchSampler",
    "ProportionalBatchSampler",
    "RoundRobinBatchSampler",
]
