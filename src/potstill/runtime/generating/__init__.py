"""Bundles of students that write, and what a device does with them. Never imports torch."""

from potstill.runtime.generating.bundle import GenerativeBundle, is_generative, open_bundle
from potstill.runtime.generating.llama import LlamaGenerator
from potstill.runtime.generating.manifest import GenerativeManifest
from potstill.runtime.generating.onnx_decoder import OnnxDecoder

__all__ = [
    "GenerativeBundle",
    "GenerativeManifest",
    "LlamaGenerator",
    "OnnxDecoder",
    "is_generative",
    "open_bundle",
]
