"""Cuts of a causal language model: fewer layers, a narrower body, a vocabulary of the texts at hand."""

from potstill.students.causal.cut import cut_causal_lm, map_layers
from potstill.students.causal.folder import load_causal_lm, load_tokenizer, save_causal_lm
from potstill.students.causal.vocabulary import trim_bpe, trim_tokenizer
from potstill.students.causal.width import Importance, measure_importance, prune_causal_width

__all__ = [
    "Importance",
    "cut_causal_lm",
    "load_causal_lm",
    "load_tokenizer",
    "map_layers",
    "measure_importance",
    "prune_causal_width",
    "save_causal_lm",
    "trim_bpe",
    "trim_tokenizer",
]
