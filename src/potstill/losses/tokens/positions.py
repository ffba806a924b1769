"""Which hidden state predicts which token: labels are shifted here, and nowhere else. B batch, T tokens, N answers."""

from __future__ import annotations

from torch import Tensor

from potstill.errors import ConfigurationError


def answer_positions(ids_BT: Tensor, is_answer_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the hidden states that predict answer tokens, and those tokens.

    The state at t predicts the token at t + 1. The first token of a row is predicted by nothing and never counts.

    Args:
        ids_BT: tokens.
        is_answer_BT: bool; False for prompt and padding.

    Returns:
        Places in the flattened B x T, shape N, row by row in order; and the tokens, shape N.

    Raises:
        ConfigurationError: no answer token in the batch, so that there is nothing to learn.
    """
    is_predicted = is_answer_BT[:, 1:].bool()
    if not bool(is_predicted.any()):
        raise ConfigurationError(
            "a batch holds no answer token: every row was cut off inside its prompt. Raise max_length, or shorten the "
            "prompts."
        )
    rows, columns = is_predicted.nonzero(as_tuple=True)
    return rows * ids_BT.shape[1] + columns, ids_BT[rows, columns + 1]
