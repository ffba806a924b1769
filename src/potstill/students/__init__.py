"""Students, one builder a file."""

from potstill.students.base import Student, StudentBuilder, StudentContext
from potstill.students.cnn import Cnn
from potstill.students.encoder import Encoder
from potstill.students.linear import Linear
from potstill.students.static import Static

KINDS: tuple[type, ...] = (Cnn, Encoder, Linear, Static)

__all__ = ["KINDS", "Cnn", "Encoder", "Linear", "Static", "Student", "StudentBuilder", "StudentContext"]
