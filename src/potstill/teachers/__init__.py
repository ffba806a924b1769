"""Teachers, one kind a file."""

from potstill.teachers.base import TeacherContext, TeacherSpec
from potstill.teachers.encoder import Encoder
from potstill.teachers.scratch import Scratch

KINDS: tuple[type, ...] = (Encoder, Scratch)

__all__ = ["KINDS", "Encoder", "Scratch", "TeacherContext", "TeacherSpec"]
