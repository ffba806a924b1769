"""`potstill listen`: a bundle's answers to what is said in a file or into a microphone."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from potstill.cli.output import Result, label_text, show
from potstill.errors import ConfigurationError, MissingExtraError
from potstill.runtime import load
from potstill.runtime.listening import Heard, Listener, SileroVoice
from potstill.types import FloatArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `listen`."""
    parser.add_argument("bundle", help="folder or .zip of a bundle for sounds")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", type=Path, help="a sound file")
    source.add_argument("--microphone", action="store_true", help="listen until interrupted")
    parser.add_argument(
        "--voice",
        choices=["silero", "none"],
        default="silero",
        help="what finds utterances; none hears a file as one",
    )
    parser.add_argument("--voice-file", type=Path, help="ONNX file of Silero VAD; that of its package when left out")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds of quiet that end an utterance")
    parser.add_argument("--chunk-ms", type=float, default=20.0, help="milliseconds that are taken in at once")


def main(args: argparse.Namespace) -> Result:
    """Answers every utterance as soon as it ends."""
    if not args.chunk_ms > 0 or not args.pause > 0:
        raise ConfigurationError("--chunk-ms and --pause must be above 0")
    if args.microphone and args.voice == "none":
        raise ConfigurationError("a microphone has no end, so --voice none would never answer; use --voice silero")
    model = load(args.bundle)
    rate = int(model.manifest.preprocess.get("rate", 0))
    voice = SileroVoice(rate, args.voice_file) if rate and args.voice == "silero" else None
    listener = Listener(model, voice, pause_s=args.pause)
    size = max(1, round(rate * args.chunk_ms / 1000))
    if args.microphone:
        return _live(listener, rate, size, as_json=args.json)
    samples = model.read(args.file)
    assert not isinstance(samples, str), "a model for sounds reads samples"
    started = time.process_time()
    heard = [h for start in range(0, len(samples), size) for h in listener.feed(samples[start : start + size])]
    heard += listener.finish()
    spent = time.process_time() - started
    length = len(samples) / rate
    data: dict[str, Any] = {
        "input": str(args.file),
        "bundle_digest": model.digest,
        "seconds": length,
        "real_time_factor": spent / length if length else None,
        "heard": [_values(found) for found in heard],
    }
    lines = [_line(found) for found in heard] or ["nothing was heard"]
    return Result(data, "\n".join(lines))


def _live(listener: Listener, rate: int, size: int, *, as_json: bool) -> Result:
    """Prints what is heard as it comes; Ctrl-C ends it."""
    heard: list[Heard] = []
    try:
        for chunk in _microphone(rate, size):
            for found in listener.feed(chunk):
                heard.append(found)
                if not as_json:
                    show(Result({}, _line(found)), as_json=False)
    except KeyboardInterrupt:
        heard += listener.finish()
    return Result({"heard": [_values(found) for found in heard]}, "")


def _microphone(rate: int, size: int) -> Iterator[FloatArray]:
    """Chunks of the default microphone."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is there, and PortAudio isn't
        raise MissingExtraError("sounddevice", "microphone") from error
    try:
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32", blocksize=size) as stream:
            sys.stderr.write("listening; Ctrl-C ends\n")
            while True:
                yield np.asarray(stream.read(size)[0])[:, 0]
    except sounddevice.PortAudioError as error:
        raise ConfigurationError(f"no microphone can be opened at {rate} Hz: {error}") from error


def _values(found: Heard) -> dict[str, Any]:
    return {"start_s": found.start_s, "end_s": found.end_s, **found.prediction.to_json()}


def _line(found: Heard) -> str:
    said = label_text(found.prediction.label)
    unsure = "" if found.prediction.in_scope is not False else "  looks like none of the classes"
    return f"{found.start_s:7.2f} - {found.end_s:.2f} s  {said}  {found.prediction.probability:.4f}{unsure}"
