"""A pretrained network for pictures as it is, with a linear head fitted to the labelled rows.

Shapes: N rows, D features, K classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.students.base import Student, StudentOutput
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.efficientnet_lite import NUM_FEATURES, load_pretrained
from potstill.teachers.fit import settled_numerics, usual_threads
from potstill.teachers.foreign import check_single_answer, own_preprocessor
from potstill.teachers.trained import TrainedTeacher

# Weights of the squared head; dev takes one.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


class Probed(nn.Module):
    """Frozen features under a linear head."""

    def __init__(self, backbone: nn.Module, num_logits: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(NUM_FEATURES, num_logits)

    def forward(self, pixels: Tensor) -> StudentOutput:
        """Pixels B x 3 x H x W, or B x 1 x H x W, grey."""
        embedding_BD = self.backbone(pixels.expand(-1, 3, -1, -1)).float()
        return StudentOutput(self.head(embedding_BD), embedding_BD)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """EfficientNet-Lite0 with ImageNet weights, frozen, and a linear head: strong where labels are few.

    Attributes:
        size: side that pictures are brought to; 96 costs a fifth of the 224 that it was trained with.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_threads: of torch; 0 takes OMP_NUM_THREADS, else the machine's cores, four at most.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["probe"] = "probe"
    size: int = 96
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_threads: int = 0
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_least(size=(self.size, 32), num_threads=(self.num_threads, 0))

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def prepare(self, context: TeacherContext) -> TrainedTeacher:
        """Fits the head; dev chooses how large its weights may grow.

        Raises:
            MissingExtraError: the package with the weights is not installed.
            ConfigurationError: the inputs are no pictures, or rows have several labels.
        """
        classes = check_single_answer("probe", context)
        first = context.labelled.inputs[0]
        channels = 1 if not isinstance(first, str) and first.ndim == 2 else 3
        pixels = own_preprocessor(context, size=self.size, mean=(127 / 255,) * channels, std=(128 / 255,) * channels)
        module = Probed(load_pretrained(), len(classes))
        student = Student(module=module, preprocessor=pixels, schema=context.schema)
        numerics = settled_numerics(context.folder, self.precision, student, context.labelled.inputs, context.device)
        torch.set_num_threads(self.num_threads or usual_threads())
        teacher = TrainedTeacher(student=student, precision=numerics.precision, device=context.device)
        context.progress.stage("teacher")
        train_ND = torch.from_numpy(teacher.embedding(context.labelled.inputs))
        labels_N = torch.from_numpy(context.labelled.labels[:, 0]).long()
        dev_ND, dev_N = train_ND, labels_N
        if len(context.dev):
            dev_ND = torch.from_numpy(teacher.embedding(context.dev.inputs))
            dev_N = torch.from_numpy(context.dev.labels[:, 0]).long()
        heads = [_fitted(train_ND, labels_N, len(classes), penalty) for penalty in PENALTIES]
        best = min(heads, key=lambda head: float(F.cross_entropy(head(dev_ND), dev_N).detach()))
        module.head.load_state_dict(best.state_dict())
        return teacher


def _fitted(features_ND: Tensor, labels_N: Tensor, num_classes: int, penalty: float) -> nn.Linear:
    """The head that minimises cross-entropy and half the penalty times its squared weights, on scaled features."""
    mean_D, std_D = features_ND.mean(0), features_ND.std(0).clamp(min=1e-3)
    scaled_ND = (features_ND - mean_D) / std_D
    head = nn.Linear(features_ND.shape[1], num_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(head(scaled_ND), labels_N) + 0.5 * penalty * head.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        # The scaling moves into the weights, so that the device does nothing of it.
        head.bias.sub_(head.weight @ (mean_D / std_D))
        head.weight.div_(std_D)
    return head
