"""Low-rank changes of a causal language model, by PEFT: few weights are learned, and merged when they are."""

from __future__ import annotations

from typing import Any

from potstill.errors import MissingExtraError

# What the changes are multiplied with, a share of the rank: the custom of the field.
ALPHA_OF_RANK = 2


def add_low_rank(model: Any, rank: int) -> Any:
    """Puts a change of that rank beside every linear map of the layers, in place, and freezes all else.

    A student that starts with these says what it said before (Hu et al. 2021, LoRA, arXiv 2106.09685).

    Returns:
        What `merge_low_rank` takes.

    Raises:
        MissingExtraError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
    except ImportError as error:
        raise MissingExtraError("peft", "lora") from error
    options = LoraConfig(r=rank, lora_alpha=ALPHA_OF_RANK * rank, lora_dropout=0.0, target_modules="all-linear")
    return LoraModel(model, {"default": options}, "default")


def merge_low_rank(changes: Any) -> Any:
    """The plain model with the changes added to its weights; it is saved and exported like any other."""
    model = changes.merge_and_unload()
    return model.requires_grad_(True)
