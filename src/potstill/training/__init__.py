"""Training: one loop that takes a task, with checkpoints that survive a kill at any instant."""

from potstill.training.settings import Training, Trial

__all__ = ["Training", "Trial"]
