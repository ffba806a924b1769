"""Trained students: rows that name a bundle and a task, and the loaded bundles that answer.

A job adds a student with `add_model`; from then on it is listed and answers.
"""

from potstill.server.models.registry import Students, add_model, find_model, model_object
from potstill.server.models.student import Student

__all__ = ["Student", "Students", "add_model", "find_model", "model_object"]
