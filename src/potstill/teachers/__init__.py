"""Teachers, one kind a file."""

from potstill.teachers.base import TeacherContext, TeacherSpec
from potstill.teachers.encoder import Encoder
from potstill.teachers.ensemble import Ensemble
from potstill.teachers.huggingface import HuggingFace
from potstill.teachers.module import Module
from potstill.teachers.network import Network
from potstill.teachers.ngrams import Ngrams
from potstill.teachers.onnx_file import OnnxFile
from potstill.teachers.openai import OpenAI
from potstill.teachers.probe import Probe
from potstill.teachers.ready import Ready
from potstill.teachers.recorded import Recorded
from potstill.teachers.scratch import Scratch

# What a recipe file can name; `Ready` holds an object and is for Python alone.
KINDS: tuple[type, ...] = (
    Encoder,
    Ensemble,
    HuggingFace,
    Module,
    Network,
    Ngrams,
    OnnxFile,
    OpenAI,
    Probe,
    Recorded,
    Scratch,
)

__all__ = [
    "KINDS",
    "Encoder",
    "Ensemble",
    "HuggingFace",
    "Module",
    "Network",
    "Ngrams",
    "OnnxFile",
    "OpenAI",
    "Probe",
    "Ready",
    "Recorded",
    "Scratch",
    "TeacherContext",
    "TeacherSpec",
]
