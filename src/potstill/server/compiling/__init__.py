"""Compiles chats into a task for a small student, so that its answers read like the teacher's."""

from potstill.server.compiling.answers import AnswerField, AnswerForm, NotClosedError
from potstill.server.compiling.prompts import PromptForm
from potstill.server.compiling.task import Compiled, Row, Task, compile_chats, num_leaks, read_rows

__all__ = [
    "AnswerField",
    "AnswerForm",
    "Compiled",
    "NotClosedError",
    "PromptForm",
    "Row",
    "Task",
    "compile_chats",
    "num_leaks",
    "read_rows",
]
