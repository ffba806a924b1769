"""How weights are stored and computed with."""

from __future__ import annotations

from typing import Literal

Precision = Literal["fp32", "int8_weights", "int8"]
