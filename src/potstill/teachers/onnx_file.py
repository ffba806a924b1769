"""A classifier of pictures or sounds in an ONNX file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import onnxruntime

from potstill.errors import TeacherUnavailableError
from potstill.files import digest, digest_file
from potstill.runtime.preprocess import LogMel, Pixels
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.fit import usual_threads
from potstill.teachers.foreign import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    check_normalisation,
    check_single_answer,
    match_labels,
    own_preprocessor,
)
from potstill.types import Answers, FloatArray, Input, IntArray, LabelSchema

BATCH_SIZE = 32


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """Asks a network in an ONNX file; its only input is float pictures N x c x H x W, its first output logits.

    Attributes:
        file: an .onnx file.
        classes: what the logits stand for, in their order; empty means the data's classes, sorted by name.
        label_map: the model's class -> the data's, where the names differ by more than case, spaces and underscores.
        size: side of the pictures that it takes; 0 reads it from the file, else keeps small ones as they are.
        mean: of its normalisation on 0..1, one a channel; by default ImageNet's.
        std: of its normalisation.
        num_mels: bands of a sound; N x 1 x bands x frames is what it gets then.
        num_threads: of onnxruntime; 0 takes OMP_NUM_THREADS, else the machine's cores, four at most.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["onnx"] = "onnx"
    file: str
    classes: tuple[str, ...] = ()
    label_map: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    num_mels: int = 40
    num_threads: int = 0
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_least(size=(self.size, 0), num_threads=(self.num_threads, 0))
        check_normalisation(self.mean, self.std)

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def prepare(self, context: TeacherContext) -> OnnxTeacher:
        """Loads the file and tries it on two rows.

        Raises:
            TeacherUnavailableError: it is not there, is no such network, or fails on these inputs.
            DataError: its classes are not those of the data.
        """
        classes = check_single_answer("onnx", context)
        positions = match_labels(self.classes or classes, classes, self.label_map)
        session = self._session()
        shape = session.get_inputs()[0].shape
        sides = [side for side in shape[2:] if isinstance(side, int)]
        size = self.size or ((sides[0], sides[1]) if len(sides) == 2 else 0)
        teacher = OnnxTeacher(
            schema=context.schema,
            session=session,
            preprocessor=own_preprocessor(context, size=size, mean=self.mean, std=self.std, num_mels=self.num_mels),
            positions=positions,
            file_digest=digest_file(Path(self.file)),
            batch_size=shape[0] if isinstance(shape[0], int) else BATCH_SIZE,
        )
        try:
            width = teacher.raw_logits(context.labelled.inputs[:1]).shape[1]
        except Exception as error:  # onnxruntime raises classes of its own making
            raise TeacherUnavailableError(
                f"{self.file} fails on a row of the data: {str(error)[:300]}. It declares inputs of {shape}; see "
                "teacher.size, teacher.mean and teacher.num_mels."
            ) from error
        if width != len(self.classes or classes):
            raise TeacherUnavailableError(
                f"{self.file} gives {width} logits, and {len(self.classes or classes)} classes are named. Name what "
                "the logits stand for, in their order, in teacher.classes."
            )
        return teacher

    def _session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.num_threads or usual_threads()
        try:
            session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own making
            raise TeacherUnavailableError(f"the teacher {self.file} can't be loaded: {str(error)[:300]}") from error
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
            listed = ", ".join(f"{found.name}: {found.type} {found.shape}" for found in inputs)
            raise TeacherUnavailableError(
                f"the teacher {self.file} takes {listed}; expected one input of float pictures, N x channels x H x W"
            )
        return session


@dataclass(frozen=True, kw_only=True)
class OnnxTeacher:
    """A loaded file.

    Attributes:
        schema: of the data.
        session: of onnxruntime.
        preprocessor: what it is fed with.
        positions: for each class of the data the position of its logit.
        file_digest: SHA-256 of the file.
        batch_size: rows a call.
    """

    schema: LabelSchema
    session: onnxruntime.InferenceSession
    preprocessor: Pixels | LogMel
    positions: IntArray
    file_digest: str
    batch_size: int

    @property
    def num_parameters(self) -> int | None:
        """Unknown."""
        return None

    def identity(self) -> dict[str, Any]:
        """File, preprocessing and the matching of labels."""
        return {
            "kind": "onnx",
            "file": self.file_digest,
            "preprocessing": digest(self.preprocessor.to_json()),
            "positions": self.positions.tolist(),
            "schema": self.schema.to_json(),
        }

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """Answers in batches."""
        for start in range(0, len(inputs), self.batch_size):
            rows = inputs[start : start + self.batch_size]
            logits = self.raw_logits(rows)[:, self.positions]
            yield Answers(positions=np.arange(start, start + len(rows)), logits=logits, refused={})

    def raw_logits(self, inputs: Sequence[Input]) -> FloatArray:
        """Its first output, float32, N x its own classes; N is at most the batch size."""
        (batch,) = self.preprocessor.batch(self.preprocessor.encode(inputs)).values()
        # A file that was exported with a fixed batch wants that many rows, always.
        missing = self.batch_size - len(batch) if isinstance(self.session.get_inputs()[0].shape[0], int) else 0
        if missing:
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        said = self.session.run(None, {self.session.get_inputs()[0].name: batch})[0]
        logits: FloatArray = np.asarray(said, np.float32)[: len(inputs)]
        return logits
