"""Whether somebody speaks. Shapes: S samples."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from potstill.errors import BundleError, ConfigurationError, DataError
from potstill.types import FloatArray

# The network looks at windows of 32 ms, and at the end of the window before.
WINDOWS = {8_000: (256, 32), 16_000: (512, 64)}


class VoiceActivity(Protocol):
    """Judges one window after the other."""

    @property
    def window(self) -> int:
        """Samples of a window."""
        ...

    def probability(self, window_S: FloatArray) -> float:
        """Of speech in the next window."""
        ...

    def reset(self) -> None:
        """Forgets the stream: another one begins."""
        ...


class SileroVoice:
    """Silero VAD (https://github.com/snakers4/silero-vad, MIT) from the ONNX file in its wheel.

    The package itself asks for torch and torchaudio; the file needs neither: `pip install --no-deps silero-vad`.
    """

    def __init__(self, rate: int, file: Path | None = None) -> None:
        """Loads the network.

        Args:
            rate: samples a second, 8,000 or 16,000.
            file: an ONNX file of version 5 or 6; None takes that of the installed package.

        Raises:
            DataError: another rate.
            ConfigurationError: the package is not installed.
            BundleError: the file is no such network.
        """
        if rate not in WINDOWS:
            raise DataError(
                f"voice activity is known at {' and '.join(map(str, WINDOWS))} Hz, and this model listens at {rate} "
                "Hz. Train it with data.sample_rate=16000, or hear the file as one utterance with --voice none."
            )
        self.window, self._context = WINDOWS[rate]
        path = file or _installed()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            names = {found.name for found in self._session.get_inputs()}
        except Exception as error:  # onnxruntime raises classes of its own making
            raise BundleError(f"the voice activity network {path} can't be loaded: {str(error)[:200]}") from error
        if names != {"input", "state", "sr"}:
            raise BundleError(f"{path} takes {', '.join(sorted(names))}; expected input, state and sr")
        self._rate = np.array(rate, np.int64)
        self.reset()

    def reset(self) -> None:
        """Forgets the stream."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._before = np.zeros(self._context, np.float32)

    def probability(self, window_S: FloatArray) -> float:
        """Of speech in the next window, which has exactly `window` samples."""
        seen = np.concatenate([self._before, window_S]).astype(np.float32)
        said, self._state = self._session.run(None, {"input": seen[None], "state": self._state, "sr": self._rate})
        self._before = seen[-self._context :]
        return float(said[0, 0])


def _installed() -> Path:
    # Found, never imported: importing it would import torch.
    spec = importlib.util.find_spec("silero_vad")
    path = Path(spec.origin).parent / "data" / "silero_vad.onnx" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ConfigurationError(
            "voice activity needs the network of the package silero-vad. Run: pip install --no-deps silero-vad (its "
            "dependencies are torch and torchaudio, which are not used here), or hear the file as one utterance with "
            "--voice none."
        )
    return path
