"""Teachers, one kind a file."""

from potstill.teachers.base import TeacherContext, TeacherSpec
from potstill.teachers.encoder import Encoder
from potstill.teachers.ready import Ready
from potstill.teachers.scratch import Scratch

# What a recipe file can name; `Ready` holds an object and is for Python alone.
KINDS: tuple[type, ...] = (Encoder, Scratch)

__all__ = ["KINDS", "Encoder", "Ready", "Scratch", "TeacherContext", "TeacherSpec"]
