"""A ready picture classifier of Hugging Face's transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.errors import MissingExtraError, TeacherUnavailableError
from potstill.students.base import Student
from potstill.teachers.base import TeacherContext
from potstill.teachers.fit import settled_numerics
from potstill.teachers.foreign import IMAGENET_MEAN, IMAGENET_STD, Chosen, match_labels, own_preprocessor
from potstill.teachers.trained import TrainedTeacher

USUAL_SIDE = 224


def picture_classifier(model: str, label_map: Mapping[str, str], context: TeacherContext) -> TrainedTeacher:
    """Loads it with the size and normalisation that its files name; pictures are brought to that size whole.

    Args:
        model: a folder, or a name on the hub.
        label_map: the model's label -> the data's.
        context: of the run.

    Raises:
        MissingExtraError: transformers is not installed.
        TeacherUnavailableError: the model can't be loaded.
        DataError: its labels are not those of the data.
    """
    try:
        from transformers import AutoModelForImageClassification
    except ImportError as error:
        raise MissingExtraError("transformers", "encoder") from error
    try:
        module = AutoModelForImageClassification.from_pretrained(
            model, trust_remote_code=False, use_safetensors=True, dtype="float32"
        )
        seen = _seen(model)
    except (OSError, ValueError, KeyError) as error:
        raise TeacherUnavailableError(
            f"the picture classifier {model!r} can't be loaded: {str(error)[:300]}. It must be a folder or a hub name "
            "with safetensors weights and preprocessor_config.json."
        ) from error
    names = [str(module.config.id2label[i]) for i in range(module.config.num_labels)]
    positions = match_labels(names, context.schema.fields[0].classes, label_map)
    preprocessor = own_preprocessor(
        context,
        size=_sides(seen),
        mean=tuple(seen.get("image_mean") or IMAGENET_MEAN),
        std=tuple(seen.get("image_std") or IMAGENET_STD),
    )
    student = Student(module=Chosen(module.eval(), positions), preprocessor=preprocessor, schema=context.schema)
    numerics = settled_numerics(context.folder, "auto", student, context.labelled.inputs, context.device)
    return TrainedTeacher(student=student, precision=numerics.precision, device=context.device)


def _seen(model: str) -> dict[str, Any]:
    """How the model looks at a picture."""
    from transformers.utils import cached_file

    path = cached_file(model, "preprocessor_config.json")
    return dict(json.loads(Path(str(path)).read_text("utf-8")))


def _sides(seen: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width; a model that crops gets the whole picture in the size of its crop."""
    wanted = (seen.get("crop_size") if seen.get("do_center_crop") else None) or seen.get("size") or USUAL_SIDE
    if isinstance(wanted, int):
        return wanted, wanted
    side = int(wanted.get("shortest_edge", USUAL_SIDE))
    return int(wanted.get("height", side)), int(wanted.get("width", side))
