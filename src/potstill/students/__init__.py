"""Students, one builder a file."""

from potstill.students.base import Student, StudentBuilder, StudentContext
from potstill.students.cnn import Cnn
from potstill.students.encoder import Encoder
from potstill.students.linear import Linear
from potstill.students.pixel_cnn import PixelCnn
from potstill.students.static import Static

KINDS: tuple[type, ...] = (Cnn, Encoder, Linear, PixelCnn, Static)

__all__ = ["KINDS", "Cnn", "Encoder", "Linear", "PixelCnn", "Static", "Student", "StudentBuilder", "StudentContext"]
