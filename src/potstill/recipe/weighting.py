"""How much a row counts where classes are unequal. N rows, C classes."""

from __future__ import annotations

import numpy as np

from potstill.errors import ConfigurationError
from potstill.types import FloatArray, IntArray, LabelSchema


def class_weights(wish: str, labels_NL: IntArray, schema: LabelSchema, *, has_other: bool) -> FloatArray | None:
    """A weight a class, the inverse of its share in the labelled rows; None where all rows count alike.

    Args:
        wish: `none`, `balanced`, or `auto`, which balances where everything else became one large class.
        labels_NL: of the labelled rows.
        schema: of the service.
        has_other: whether it has a class for everything else.

    Raises:
        ConfigurationError: several fields or several labels a row, where a row has no single class.
    """
    if wish == "none" or (wish == "auto" and not has_other):
        return None
    if len(schema.fields) != 1 or schema.fields[0].multi:
        raise ConfigurationError(
            "training.class_weights is balanced, and a row of this data has several labels, so it has no weight. Set "
            "it to none."
        )
    labels = labels_NL[:, 0]
    counts_C = np.bincount(labels[labels >= 0], minlength=schema.num_logits) + 1.0
    # Mean 1 over the labelled rows, so that the learning rate means what it meant.
    weights_C: FloatArray = counts_C.sum() / (len(counts_C) * counts_C)
    return weights_C


def row_weights(weights_C: FloatArray | None, labels_NL: IntArray, logits_NC: FloatArray | None) -> FloatArray | None:
    """A weight a row, mean 1, float32, N: that of its class, or of what the teacher takes it for."""
    if weights_C is None:
        return None
    labels_N = labels_NL[:, 0]
    weights_N = np.where(labels_N >= 0, weights_C[np.maximum(labels_N, 0)], 1.0)
    if logits_NC is not None:
        exponents_NC = np.exp(logits_NC.astype(np.float64) - logits_NC.max(1, keepdims=True))
        said_N = exponents_NC @ weights_C / exponents_NC.sum(1)
        weights_N = np.where(labels_N >= 0, weights_N, said_N)
    return (weights_N / weights_N.mean()).astype(np.float32) if len(weights_N) else weights_N.astype(np.float32)
