"""What a student can be trained from: builders by name, and one that lets the data choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AUTO = "potstill-auto"
SMOLLM2 = "potstill-smollm2"
WRITES = "causal_lm"
"""Kind of a base that a student which writes is cut from."""
BASES: Mapping[str, str] = {
    # name: kind of the student's builder, see `potstill.students`
    AUTO: "",
    "potstill-cnn": "cnn",
    "potstill-static": "static",
    "potstill-linear": "linear",
    "potstill-resnet": "resnet",
    "potstill-ds-cnn": "ds_cnn",
    SMOLLM2: WRITES,
}


def kind_of_base(name: str) -> str:
    """Kind of a base; one that an administrator named is a language model."""
    return BASES.get(name, WRITES)


def base_object(name: str) -> dict[str, Any]:
    """A base as the API lists it among the models."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "potstill"}
