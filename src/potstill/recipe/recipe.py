"""The typed description of a run; everything that can change a result stands here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Literal, final

from potstill.data.options import DataOptions
from potstill.errors import ConfigurationError
from potstill.files import digest
from potstill.students import StudentBuilder
from potstill.teachers import Encoder, Network, Probe, TeacherSpec
from potstill.teachers.efficientnet_lite import is_installed
from potstill.training.settings import Training


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What the student may weigh; a builder and its size are then chosen among measured candidates.

    Attributes:
        size_bytes: of the shipped model with its tokenizer; None for no limit.
        latency_ms: median of one prediction at batch 1 and 1 thread on this machine; None for no limit.
    """

    size_bytes: int | None = None
    latency_ms: float | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Gates:
    """What must hold, else the run ends with exit code 3 and says what was missed.

    Attributes:
        accuracy: least test accuracy of the student.
        share_of_teacher: least share of the teacher's test accuracy.
        verdict: `gain` asks that the teacher helped; `any` asks nothing.
    """

    accuracy: float | None = None
    share_of_teacher: float | None = None
    verdict: Literal["any", "gain"] = "any"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Controls:
    """Contenders beside the student.

    Attributes:
        baseline: hashed n-grams with a linear head, without the teacher.
        label_smoothing: the control again with smoothed labels alone.
        teacher_labels: the student again on the teacher's hard labels alone.
    """

    baseline: bool = True
    label_smoothing: bool = False
    teacher_labels: bool = False


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """The form of the bundle.

    Attributes:
        precision: `auto` takes the fastest of those that lose nothing, at about the smallest size.
        license: SPDX name of the licence that the bundle is given out under, empty when unknown.
        delta_share: with a parent: share of the weights' bytes that a device may have to download, above 0 to 1; what
            training moved least is put back until that holds.
    """

    precision: Literal["auto", "fp32", "int8_weights", "int8"] = "auto"
    license: str = ""
    delta_share: float = 0.06

    def __post_init__(self) -> None:
        if not 0 < self.delta_share <= 1:
            raise ConfigurationError(f"export.delta_share is {self.delta_share}; a share is above 0 and at most 1")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One run.

    Attributes:
        data: which rows, which columns, which classes.
        teacher: who is asked; by default an encoder for texts, for pictures a probe of pretrained features where the
            extra `imagenet` is installed, and else, as for sounds, a network trained here.
        student: what learns; None chooses within `budget`, and without a budget takes the default of the data.
        training: how.
        budget: limits of the student.
        controls: contenders beside the student.
        gates: what must hold.
        export: the bundle's form.
        parent: bundle, or folder of a run, that the student and the control go on from; empty starts anew.
        num_seeds: student and control are trained with that many seeds, as pairs; the first one ships.
        seed: of everything random.
    """

    data: DataOptions
    teacher: TeacherSpec = field(default_factory=Encoder)
    student: StudentBuilder | None = None
    training: Training = field(default_factory=Training)
    budget: Budget = field(default_factory=Budget)
    controls: Controls = field(default_factory=Controls)
    gates: Gates = field(default_factory=Gates)
    export: Export = field(default_factory=Export)
    parent: str = ""
    num_seeds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise ConfigurationError(f"num_seeds is {self.num_seeds}; it must be at least 1")
        if self.parent and (self.budget != Budget() or self.num_seeds != 1):
            raise ConfigurationError(
                "a parent decides the student's size and start, so it takes no budget and one seed"
            )
        if self.data.modality != "text" and self.teacher == Encoder():
            # Nobody asked for it by name: an encoder reads text alone.
            object.__setattr__(self, "teacher", usual_teacher(self.data.modality))

    def to_json(self) -> dict[str, Any]:
        """Everything, defaults included, as JSON values."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def wants_refit(self, *, num_labelled: int, num_unlabelled: int) -> bool:
        """Whether dev rows teach once they have chosen: where labels are few, a tenth of them for dev alone is dear."""
        if self.training.refit == "auto":
            return num_unlabelled >= num_labelled
        return self.training.refit == "yes"

    def digest(self) -> str:
        """SHA-256 of everything; equal recipes are equal here however they were written."""
        return digest(self.to_json())


def usual_teacher(modality: str) -> TeacherSpec:
    """Who is asked where nobody was named, for `text`, `image` or `audio`."""
    if modality == "text":
        return Encoder()
    return Probe() if modality == "image" and is_installed() else Network()


def _plain(value: Any) -> Any:
    """JSON values of a part of a recipe."""
    if is_dataclass(value) and not isinstance(value, type):
        config = getattr(value, "config", None)
        return _plain(config() if config else asdict(value))
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
