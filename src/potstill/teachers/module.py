"""Any network for pictures or sounds that a Python file can build: the user's own code is the teacher."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from torch import nn

from potstill.errors import ConfigurationError, TeacherUnavailableError
from potstill.files import digest_file
from potstill.students.base import Student
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.fit import fit_views, settled_numerics
from potstill.teachers.foreign import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Chosen,
    check_normalisation,
    check_single_answer,
    match_labels,
    own_preprocessor,
)
from potstill.teachers.trained import TrainedTeacher
from potstill.training.batches import steps_per_epoch


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """Runs `factory()` of a Python file, which returns a `torch.nn.Module` with its weights loaded.

    The module takes float pictures, N x 3 x H x W, or log-mel spectra, N x 1 x M x T, and gives logits, or an object
    that has `logits`. The file is the user's own code and is run as it stands.

    Attributes:
        file: a Python file.
        factory: a function in it without arguments.
        classes: what the logits stand for, in their order; empty means the data's classes, sorted by name.
        label_map: the module's class -> the data's, where the names differ by more than case, spaces and underscores.
        size: side of the pictures that it takes; 0 keeps small ones as they are and brings others to 64.
        mean: of its normalisation on 0..1, one a channel; by default ImageNet's.
        std: of its normalisation.
        num_mels: bands of a sound.
        num_epochs: passes over the labelled rows that it is fine-tuned with before it is asked; 0 asks it as it is.
        learning_rate: peak, of fine-tuning with Nesterov momentum.
        batch_size: rows a step.
        flip: whether pictures are also shown mirrored in fine-tuning; `auto` does so with colour pictures.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_threads: of torch; 0 takes OMP_NUM_THREADS, else the machine's cores, four at most.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["module"] = "module"
    file: str
    factory: str = "make"
    classes: tuple[str, ...] = ()
    label_map: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    num_mels: int = 40
    num_epochs: int = 0
    learning_rate: float = 0.02
    batch_size: int = 128
    flip: Literal["auto", "yes", "no"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_threads: int = 0
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_least(num_epochs=(self.num_epochs, 0), batch_size=(self.batch_size, 2), num_threads=(self.num_threads, 0))
        if not self.factory.isidentifier():
            raise ConfigurationError(f"teacher.factory is {self.factory!r}; it names a function, such as 'make'")
        check_normalisation(self.mean, self.std)

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def prepare(self, context: TeacherContext) -> TrainedTeacher:
        """Builds it, and fine-tunes it where that is asked for, or loads what was fine-tuned before.

        Raises:
            TeacherUnavailableError: the file or the function is not there, or it fails.
            DataError: its classes are not those of the data.
        """
        classes = check_single_answer("module", context)
        wrapped = Chosen(self._made(), match_labels(self.classes or classes, classes, self.label_map))
        preprocessor = own_preprocessor(context, size=self.size, mean=self.mean, std=self.std, num_mels=self.num_mels)
        student = Student(module=wrapped, preprocessor=preprocessor, schema=context.schema)
        self._try(student, context)
        numerics = settled_numerics(context.folder, self.precision, student, context.labelled.inputs, context.device)
        if self.num_epochs:
            fit_views(
                student,
                context,
                numerics,
                num_steps=self.num_epochs * steps_per_epoch(len(context.labelled), self.batch_size),
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                flip=self.flip,
                num_threads=self.num_threads,
            )
        return TrainedTeacher(
            student=student, precision=numerics.precision, device=context.device, source=digest_file(Path(self.file))
        )

    def _made(self) -> nn.Module:
        path = Path(self.file)
        try:
            spec = importlib.util.spec_from_file_location(f"potstill_teacher_{path.stem}", path)
            assert spec and spec.loader, "a .py file has a loader"
            code = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = code
            spec.loader.exec_module(code)
            made = getattr(code, self.factory)()
        except Exception as error:  # the user's code may fail in any way
            raise TeacherUnavailableError(
                f"the teacher {self.file}:{self.factory} can't be made: {type(error).__name__}: {str(error)[:300]}. "
                "It must be a function without arguments that returns a torch.nn.Module with its weights."
            ) from error
        if not isinstance(made, nn.Module):
            raise TeacherUnavailableError(
                f"{self.file}:{self.factory} returned a {type(made).__name__}; expected a torch.nn.Module"
            )
        return made.eval()

    def _try(self, student: Student, context: TeacherContext) -> None:
        try:
            student.logits(list(context.labelled.inputs[:2]))
        except (RuntimeError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise TeacherUnavailableError(
                f"{self.file}:{self.factory} fails on two rows of the data: {str(error)[:300]}. It gets float pictures "
                f"N x channels x H x W of side {self.size or 'as they are'} and must give "
                f"{len(self.classes) or len(context.schema.fields[0].classes)} logits a row; see teacher.size and "
                "teacher.classes."
            ) from error
