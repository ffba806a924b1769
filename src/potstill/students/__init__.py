"""Students, one builder a file."""

from potstill.students.base import Student, StudentBuilder, StudentContext
from potstill.students.bc_resnet import BcResNet
from potstill.students.cnn import Cnn
from potstill.students.ds_cnn import DsCnn
from potstill.students.encoder import Encoder
from potstill.students.linear import Linear
from potstill.students.pixel_cnn import PixelCnn
from potstill.students.resnet import ResNet
from potstill.students.static import Static

KINDS: tuple[type, ...] = (BcResNet, Cnn, DsCnn, Encoder, Linear, PixelCnn, ResNet, Static)

__all__ = [
    "KINDS",
    "BcResNet",
    "Cnn",
    "DsCnn",
    "Encoder",
    "Linear",
    "PixelCnn",
    "ResNet",
    "Static",
    "Student",
    "StudentBuilder",
    "StudentContext",
]
