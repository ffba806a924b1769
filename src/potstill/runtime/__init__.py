"""What a device needs: `load(path).predict([...])` on numpy, onnxruntime and tokenizers. Never imports torch."""

from potstill.runtime.model import Model, Prediction, load

__all__ = ["Model", "Prediction", "load"]
