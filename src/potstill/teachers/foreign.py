"""What teachers that were made elsewhere have in common: their own classes, and their own way of looking at an input.

Shapes: B batch, c channels, H height, W width.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from potstill.errors import ConfigurationError, DataError
from potstill.runtime.preprocess import LogMel, Pixels
from potstill.students.base import StudentOutput
from potstill.students.senses import sense
from potstill.teachers.base import TeacherContext
from potstill.teachers.fit import student_context
from potstill.types import IntArray

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Chosen(nn.Module):
    """A foreign network with its outputs put into the order of the data's classes; others are left out."""

    positions: Tensor

    def __init__(self, module: nn.Module, positions: IntArray) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("positions", torch.from_numpy(positions).long())

    def forward(self, pixels: Tensor) -> StudentOutput:
        """Pixels B x c x H x W."""
        said = self.module(pixels)
        logits = getattr(said, "logits", said).index_select(1, self.positions)
        return StudentOutput(logits, logits)


def check_normalisation(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Options of teachers that see pictures in their own way.

    Raises:
        ConfigurationError: not a number a channel each, or a deviation of 0.
    """
    if len(mean) != len(std) or not all(value > 0 for value in std):
        raise ConfigurationError("teacher.mean and teacher.std need one number a channel each, std above 0")


def check_single_answer(kind: str, context: TeacherContext) -> tuple[str, ...]:
    """The classes of data with one field and one answer a row.

    Raises:
        ConfigurationError: the data has another form.
    """
    fields = context.schema.fields
    if len(fields) != 1 or fields[0].multi:
        raise ConfigurationError(f"a {kind} teacher answers one field with one class; this data has another form")
    return fields[0].classes


def own_preprocessor(
    context: TeacherContext,
    *,
    size: int | tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    num_mels: int = 40,
) -> Pixels | LogMel:
    """What the network is fed with: pictures under its own size and normalisation, sounds as log-mel spectra.

    Args:
        context: whose labelled inputs give the form.
        size: side, or height and width; 0 keeps small pictures as they are.
        mean: a channel, on 0..1.
        std: a channel.
        num_mels: bands of a sound.

    Raises:
        ConfigurationError: texts, or pictures with another number of channels.
    """
    sides = (size, size) if isinstance(size, int) else size
    found, (channels, height, width) = sense(student_context(context), size=sides[0], num_mels=num_mels)
    if isinstance(found, LogMel):
        return found
    if channels != len(mean):
        raise ConfigurationError(
            f"the pictures have {channels} channels, and the teacher's normalisation {len(mean)}; give teacher.mean "
            "and teacher.std one number a channel"
        )
    if sides[1]:
        height, width = sides
    return Pixels(height=height, width=width, channels=channels, scale=found.scale, mean=mean, std=std)


def match_labels(names: Sequence[str], classes: Sequence[str], label_map: Mapping[str, str]) -> IntArray:
    """For each class of the data the position of the model's label.

    Raises:
        DataError: a class that no label of the model means; the message lists both sides.
    """
    plain = {_plain(label_map.get(name, name)): position for position, name in enumerate(names)}
    missing = [name for name in classes if _plain(name) not in plain]
    if missing:
        guesses = {name: difflib.get_close_matches(name, names, n=1, cutoff=0.4) for name in missing}
        near = "; ".join(f"{name!r} may be the model's {found[0]!r}" for name, found in guesses.items() if found)
        raise DataError(
            f"the model's labels are not those of the data. The data has {', '.join(classes[:50])}; the model has "
            f"{', '.join(names[:50])}. Without a label: {', '.join(missing[:50])}. "
            f"{near + '. ' if near else ''}Name the pairs in teacher.label_map."
        )
    return np.array([plain[_plain(name)] for name in classes], np.int64)


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()
