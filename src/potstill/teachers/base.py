"""What a teacher needs to come into being: its specification, and what the run hands to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from potstill.data.rows import Rows
from potstill.errors import ConfigurationError
from potstill.types import LabelSchema, Progress, Teacher


@dataclass(frozen=True, kw_only=True)
class TeacherContext:
    """What a run hands to a teacher's specification.

    Attributes:
        schema: the labels of the data, all classes of it.
        labelled: rows that a teacher trained here may learn from.
        dev: labelled rows that choose and calibrate; never trained on.
        unlabelled: rows that it will be asked about besides.
        test: rows that it will be asked about last, to be judged; never trained on.
        folder: where it may keep checkpoints; the same folder on a rerun.
        seed: of everything random.
        device: `cpu`, `cuda` or `mps`.
        sample_rate: of the inputs where they are sounds, in Hz.
        progress: where it says how far it is.
    """

    schema: LabelSchema
    labelled: Rows
    dev: Rows
    unlabelled: Rows
    test: Rows
    folder: Path
    seed: int
    device: str
    progress: Progress
    sample_rate: int = 16_000


class TeacherSpec(Protocol):
    """A frozen dataclass that is a teacher's configuration and can bring it up."""

    @property
    def kind(self) -> str:
        """Its name in a recipe."""
        ...

    def config(self) -> dict[str, Any]:
        """What tells this specification from another, as JSON values; the hash of a stage covers it."""
        ...

    def prepare(self, context: TeacherContext) -> Teacher:
        """Loads or trains the teacher.

        Raises:
            TeacherUnavailableError: the model can't be loaded or reached.
            MissingExtraError: a package is missing.
            DataError: the rows don't fit this teacher.
        """
        ...


def check_least(**options: tuple[float | None, float]) -> None:
    """Compares options with their least values; None is always allowed.

    Raises:
        ConfigurationError: names the option that is too small.
    """
    for name, (value, least) in options.items():
        if value is not None and not value >= least:
            raise ConfigurationError(f"teacher.{name} is {value}; it must be at least {least:g}")
