"""A ready classifier of Hugging Face's transformers: of texts here, of pictures in the module beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from potstill.errors import MissingExtraError, TeacherUnavailableError
from potstill.files import digest_file
from potstill.teachers.base import TeacherContext
from potstill.teachers.foreign import check_single_answer, match_labels
from potstill.teachers.huggingface_pictures import picture_classifier
from potstill.teachers.trained import TrainedTeacher
from potstill.types import Answers, FloatArray, Input, IntArray, LabelSchema

BATCH_SIZE = 32


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class HuggingFace:
    """Runs a classifier as it is; its classes are matched with the data's by name.

    Attributes:
        model: a folder, or a name on the hub.
        label_map: the model's label -> the data's, where the names differ by more than case, spaces and underscores.
        max_length: pieces of a text that are read.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["huggingface"] = "huggingface"
    model: str
    label_map: Mapping[str, str] = field(default_factory=dict)
    max_length: int = 128
    minimum_accuracy: float | None = None

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def prepare(self, context: TeacherContext) -> HuggingFaceTeacher | TrainedTeacher:
        """Loads the model.

        Raises:
            MissingExtraError: transformers is not installed.
            TeacherUnavailableError: the model can't be loaded.
            DataError: its labels are not those of the data.
        """
        schema = context.schema
        check_single_answer("huggingface", context)
        if not isinstance(context.labelled.inputs[0], str):
            return picture_classifier(self.model, self.label_map, context)
        module, tokenizer, folder = _load(self.model)
        names = [str(module.config.id2label[i]) for i in range(module.config.num_labels)]
        positions = match_labels(names, schema.fields[0].classes, self.label_map)
        return HuggingFaceTeacher(
            schema=schema,
            module=module.to(context.device).eval(),
            tokenizer=tokenizer,
            positions=positions,
            files=_digests(folder),
            max_length=self.max_length,
            device=context.device,
        )


def _load(model: str) -> tuple[Any, Any, Path]:
    try:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "encoder") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        module = AutoModelForSequenceClassification.from_pretrained(
            model, trust_remote_code=False, use_safetensors=True, dtype="float32"
        )
    except (OSError, ValueError, KeyError) as error:
        raise TeacherUnavailableError(
            f"the classifier {model!r} can't be loaded: {str(error)[:300]}. It must be a folder or a hub name with "
            "safetensors weights and a tokenizer."
        ) from error
    return module, tokenizer, Path(module.config.name_or_path)


def _digests(folder: Path) -> dict[str, str]:
    """Hashes of the files that decide an answer; a hub name stands for a folder in the cache."""
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(str(folder), local_files_only=True))
    names = ("model.safetensors", "tokenizer.json", "config.json")
    return {name: digest_file(folder / name) for name in names if (folder / name).exists()}


@dataclass(frozen=True, kw_only=True)
class HuggingFaceTeacher:
    """A loaded classifier."""

    schema: LabelSchema
    module: Any
    tokenizer: Any
    positions: IntArray
    files: Mapping[str, str]
    max_length: int
    device: str

    @property
    def num_parameters(self) -> int:
        """Parameters of the network."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def identity(self) -> dict[str, Any]:
        """Weights, tokenizer and the matching of labels."""
        return {
            "kind": "huggingface",
            "files": dict(self.files),
            "positions": self.positions.tolist(),
            "max_length": self.max_length,
            "schema": self.schema.to_json(),
        }

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """Answers in batches, shortest texts first."""
        texts = [str(value) for value in inputs]
        order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(order), BATCH_SIZE):
            positions = order[start : start + BATCH_SIZE]
            yield Answers(positions=positions, logits=self._logits([texts[i] for i in positions]), refused={})

    def _logits(self, texts: Sequence[str]) -> FloatArray:
        import torch

        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        with torch.no_grad():
            logits = self.module(**batch.to(self.device)).logits
        found: FloatArray = logits.float().cpu().numpy()[:, self.positions]
        return found
