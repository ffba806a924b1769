"""What a network for pictures or sounds is fed with; a spectrogram is a grey picture to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from potstill.errors import ConfigurationError
from potstill.runtime.preprocess import LogMel, Pixels
from potstill.students.base import Student, StudentContext
from potstill.types import Input

if TYPE_CHECKING:
    from potstill.students.parent import Parent

# Statistics over this many inputs are as good as over all.
SAMPLE = 2000
LARGEST_NATIVE = 64
# About 40 dB: what lies further below the loudest of an utterance is the room, and rooms differ.
DYNAMIC_RANGE = 9.0


def sense(
    context: StudentContext, *, size: int = 0, num_mels: int = 40
) -> tuple[Pixels | LogMel, tuple[int, int, int]]:
    """The preprocessing for the inputs of a run, with what comes out of it as (channels, height, width).

    Args:
        context: whose transfer inputs give size, brightness, contrast, length and loudness.
        size: side of the square that pictures are brought to; 0 keeps small pictures of one size as they are and
            brings others to 64.
        num_mels: bands of a sound.

    Raises:
        ConfigurationError: the inputs are texts, or a parent reads them otherwise.
    """
    first = context.transfer_inputs[0]
    if isinstance(first, str):
        raise ConfigurationError("this network reads pictures and sounds, and the inputs are texts")
    step = max(1, len(context.transfer_inputs) // SAMPLE)
    sample = context.transfer_inputs[::step]
    found: Pixels | LogMel
    if context.parent is not None:
        found = _like_parent(context.parent, context.sample_rate if first.ndim == 1 else 0, size, num_mels)
    elif first.ndim == 1:
        found = _log_mel(sample, context.sample_rate, num_mels)
    else:
        found = _pixels(sample, size)
    if isinstance(found, LogMel):
        return found, (1, found.num_mels, found.num_frames)
    return found, (found.channels, found.height, found.width)


def _like_parent(parent: Parent, rate: int, size: int, num_mels: int) -> Pixels | LogMel:
    """A child looks and hears as its parent does, brightness and loudness of its own rows notwithstanding."""
    if rate:
        sounds = parent.reading(LogMel)
        _check_same("samples a second", rate, sounds.rate)
        _check_same("bands of a sound", num_mels, sounds.num_mels)
        return sounds
    pixels = parent.reading(Pixels)
    _check_same("pixels a side", size or pixels.height, pixels.height)
    return pixels


def _check_same(what: str, asked: int, found: int) -> None:
    if asked != found:
        raise ConfigurationError(
            f"{what} are {found} to the parent, and this student was to have {asked}. Name the student with the "
            "options that the parent was built with, and give it inputs of the same kind."
        )


def build_seeing(context: StudentContext, make: Callable[[int], nn.Module], *, size: int, num_mels: int) -> Student:
    """A student around a network for pictures and sounds.

    Args:
        context: whose transfer inputs give size, brightness or loudness, and length.
        make: the network, from the number of its input channels; its weights are drawn with the context's seed.
        size: as in `sense`.
        num_mels: as in `sense`.

    Raises:
        ConfigurationError: the inputs are texts.
    """
    preprocessor, (channels, _, _) = sense(context, size=size, num_mels=num_mels)
    torch.manual_seed(context.seed)
    return Student(module=make(channels), preprocessor=preprocessor, schema=context.schema)


def check_sizes(width: int, size: int, num_mels: int, num_blocks: int = 1) -> None:
    """What networks for pictures and sounds have in common.

    Raises:
        ConfigurationError: too small to hold anything.
    """
    if width < 2:
        raise ConfigurationError(f"width is {width}; it must be at least 2")
    if size and size < 8:
        raise ConfigurationError(f"size is {size}; pictures need at least 8 pixels a side, or 0 for their own")
    if num_mels < 8:
        raise ConfigurationError(f"num_mels is {num_mels}; it must be at least 8")
    if num_blocks < 1:
        raise ConfigurationError(f"num_blocks is {num_blocks}; it must be at least 1")


def _pixels(sample: Sequence[Input], size: int) -> Pixels:
    arrays = [value for value in sample if not isinstance(value, str)]
    shapes = {array.shape for array in arrays}
    height, width = (size, size) if size else (LARGEST_NATIVE, LARGEST_NATIVE)
    if not size and len(shapes) == 1 and max(arrays[0].shape[:2]) <= LARGEST_NATIVE:
        height, width = arrays[0].shape[:2]
    channels = 1 if arrays[0].ndim == 2 else int(arrays[0].shape[2])
    # A photograph has 255 shades whether or not the brightest is in the sample; other arrays are measured.
    is_photograph = channels == 3 and arrays[0].dtype == np.uint8
    scale = 255.0 if is_photograph else max(float(array.max()) for array in arrays) or 1.0
    flat_Xc = np.concatenate([array.reshape(-1, channels) for array in arrays]).astype(np.float64) / scale
    return Pixels(
        height=height,
        width=width,
        channels=channels,
        scale=scale,
        mean=tuple(float(x) for x in flat_Xc.mean(0)),
        std=tuple(max(float(x), 1e-3) for x in flat_Xc.std(0)),
    )


def _log_mel(sample: Sequence[Input], rate: int, num_mels: int) -> LogMel:
    """Frames of 25 ms every 10 ms; long enough for 95 of 100 sounds, rounded up to a tenth of a second."""
    lengths = np.array([len(value) for value in sample])
    seconds = float(np.ceil(np.quantile(lengths, 0.95) / rate * 10 - 1e-9) / 10)
    window, hop = round(0.025 * rate), round(0.010 * rate)
    plain = LogMel(
        rate=rate,
        seconds=max(seconds, 0.1),
        window=window,
        hop=hop,
        num_mels=num_mels,
        dynamic_range=DYNAMIC_RANGE,
    )
    values = np.stack(plain.encode(list(sample[:500])))
    return replace(plain, mean=float(values.mean()), std=max(float(values.std()), 1e-3))
