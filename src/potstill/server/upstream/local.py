"""A teacher on this machine: a bundle of either kind, or a GGUF file."""

from __future__ import annotations

from pathlib import Path

from potstill.errors import BundleError
from potstill.runtime.generating import is_generative, open_bundle
from potstill.runtime.model import load
from potstill.server.compiling import AnswerField, AnswerForm, PromptForm, Task
from potstill.server.models import Student
from potstill.server.remote_pictures import RemotePictures
from potstill.server.settings import TeacherSettings
from potstill.server.writing import Engines, ModelFile, Writer, open_writer
from potstill.types import LabelSchema


def open_local(teacher: TeacherSettings, engines: Engines, pictures: RemotePictures) -> Student | Writer:
    """A teacher that answers here; what writes is read when it is asked first.

    Raises:
        BundleError: it can't be used.
    """
    path = Path(teacher.path)
    if path.suffix == ".gguf":
        return Writer(teacher.name, ModelFile(gguf=path), engines)
    if is_generative(path):
        return open_writer(teacher.name, open_bundle(path), engines)
    model = load(path)
    if model.modality not in ("text", "image"):
        raise BundleError(f"--teacher {teacher.name}: {path} reads {model.modality}; chats hold texts and pictures.")
    task = plain_task(model.schema, is_image=model.modality == "image")
    return Student(teacher.name, model, task, label=teacher.name, pictures=pictures)


def plain_task(schema: LabelSchema, *, is_image: bool = False) -> Task:
    """How a classifier that comes without a template answers: with the class, or with an object of several."""
    is_text = len(schema.fields) == 1
    fields = tuple(
        AnswerField(path=() if is_text else (field.name,), values={name: name for name in field.classes})
        for field in schema.fields
    )
    template = None if is_text else {field.name: field.classes[0] for field in schema.fields}
    prompt = PromptForm(modality="image" if is_image else "text")
    return Task(prompt=prompt, answer=AnswerForm(fields=fields, template=template))
