"""How a student is trained: the options of one run, and the settings of one trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

from potstill.errors import ConfigurationError

Signal = Literal["auto", "soft", "hard"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """Options of training, for student and control alike.

    What is None follows the data: many labels take the settings that won on full training sets (T = 2, lr 2e-3,
    dropout 0.3, 40 epochs), few labels with a pool those that won there (T = 1, lr 2e-3, dropout 0.2, 8 epochs).

    Attributes:
        num_epochs: passes over the transfer set; the control gets the same number of steps.
        batch_size: rows a step.
        learning_rate: peak of the schedule.
        dropout: share of features dropped, in [0, 1).
        weight_decay: of AdamW; a linear student, trained with plain gradients, has none.
        ce_weight: weight of the cross-entropy with true labels.
        kd_weight: weight of the distillation loss.
        signal: `soft` learns from probabilities, `hard` from the teacher's answers; `auto` tries both on dev.
        temperature: of the soft labels; None tries a few on dev.
        distillation_loss: `forward_kl` or `dist`.
        embedding_loss: compare pooled features with the teacher's besides (`cosine` or `relational`), for a teacher
            that has them.
        embedding_weight: weight of the embedding loss.
        refit: once dev has chosen, train teacher, student and controls again with the dev rows among the labelled ones.
            `auto` does so where labels are few beside the pool, and each of them counts.
        hidden_weight: weight of the squared difference of pooled hidden states, for a student that took its layers from
            the teacher's encoder; 0 leaves it out.
        num_views: views of every picture or sound that teacher and student see, itself included, one an epoch in turns;
            None takes 4. Texts have one.
        flip: whether a view may be mirrored left to right; `auto` does so with colour pictures.
        augment: how much a view is changed: `light` moves pictures and sounds, `colour` changes colours besides,
            `strong` adds RandAugment to pictures and silenced stretches and bands (SpecAugment) to sounds.
        mix: whether another row is mixed into a view, and the labels with it: `mixup` or `cutmix`.
        class_weights: `balanced` lets every class count alike however many rows it has, and `none` every row; `auto`
            balances pictures and sounds where everything else became one class (`data.other`), which would outweigh
            those that are kept; networks for texts are taught all classes.
        num_trials: settings tried on dev; student, control and baseline get the same number.
        patience: evaluations on dev (20 a training) without a better NLL before a trial stops early; None takes 4 for
            texts, and goes to the end with pictures and sounds, whose best weights come with the last, small steps.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_threads: of torch; part of what makes a run repeatable.
        checkpoint_every_s: seconds between checkpoints; it changes no result.
        num_checkpoints: evaluations, counted from the last, whose weights become bundles of their own beside the
            student's, under `checkpoints/`.
    """

    num_epochs: int | None = None
    batch_size: int = 64
    learning_rate: float | None = None
    dropout: float | None = None
    weight_decay: float = 0.01
    ce_weight: float = 1.0
    kd_weight: float = 1.0
    signal: Signal = "auto"
    temperature: float | None = None
    distillation_loss: Literal["forward_kl", "dist"] = "forward_kl"
    embedding_loss: Literal["none", "cosine", "relational"] = "none"
    embedding_weight: float = 1.0
    hidden_weight: float = 0.0
    refit: Literal["auto", "yes", "no"] = "auto"
    num_views: int | None = None
    flip: Literal["auto", "yes", "no"] = "auto"
    augment: Literal["light", "colour", "strong"] = "light"
    mix: Literal["none", "mixup", "cutmix"] = "none"
    class_weights: Literal["auto", "none", "balanced"] = "auto"
    num_trials: int = 3
    patience: int | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_threads: int = 1
    checkpoint_every_s: float = 20.0
    num_checkpoints: int = 0

    def __post_init__(self) -> None:
        least: dict[str, tuple[float | None, float]] = {
            "num_epochs": (self.num_epochs, 1),
            "batch_size": (self.batch_size, 2),
            "num_views": (self.num_views, 1),
            "num_trials": (self.num_trials, 1),
            "patience": (self.patience, 1),
            "num_threads": (self.num_threads, 1),
            "weight_decay": (self.weight_decay, 0),
            "ce_weight": (self.ce_weight, 0),
            "kd_weight": (self.kd_weight, 0),
            "embedding_weight": (self.embedding_weight, 0),
            "hidden_weight": (self.hidden_weight, 0),
            "checkpoint_every_s": (self.checkpoint_every_s, 0),
            "num_checkpoints": (self.num_checkpoints, 0),
        }
        for name, (value, minimum) in least.items():
            if value is not None and not value >= minimum:
                raise ConfigurationError(f"training.{name} is {value}; it must be at least {minimum}")
        for name, rate in (("learning_rate", self.learning_rate), ("temperature", self.temperature)):
            if rate is not None and not rate > 0:
                raise ConfigurationError(f"training.{name} is {rate}; it must be above 0")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ConfigurationError(f"training.dropout is {self.dropout}; it is a share, in [0, 1)")
        if self.ce_weight == self.kd_weight == 0:
            raise ConfigurationError("training.ce_weight and training.kd_weight are both 0: nothing would be learned")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """The settings of one training.

    Attributes:
        name: short name, unique among the trials of one contender.
        signal: `soft`, `hard`, or `none` for a contender without a teacher.
        temperature: of the soft labels.
        learning_rate: peak of the schedule.
        dropout: share of features dropped.
        label_smoothing: of the cross-entropy.
        augmentation: share of a text's pieces that is dropped, or a shift of pictures when above 0.
        num_steps: optimizer steps.
    """

    name: str
    signal: Literal["soft", "hard", "none"]
    temperature: float
    learning_rate: float
    dropout: float
    label_smoothing: float = 0.0
    augmentation: float = 0.0
    num_steps: int

    def config(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
