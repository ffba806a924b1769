"""Graders: what an evaluation checks on every row, in the forms of OpenAI's API."""

from potstill.server.graders.grading import Ask, Embed, Flag, Grade, Grader, GraderError, Means, Subject
from potstill.server.graders.parse import parse_grader
from potstill.server.graders.template import fill_messages, render

__all__ = [
    "Ask",
    "Embed",
    "Flag",
    "Grade",
    "Grader",
    "GraderError",
    "Means",
    "Subject",
    "fill_messages",
    "parse_grader",
    "render",
]
