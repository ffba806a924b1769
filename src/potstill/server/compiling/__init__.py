"""Compiles chats into a task for a small student, so that its answers read like the teacher's."""

from potstill.server.compiling.answers import NotClosedError
from potstill.server.compiling.task import Compiled, Row, Task, compile_chats, num_leaks, read_rows

__all__ = ["Compiled", "NotClosedError", "Row", "Task", "compile_chats", "num_leaks", "read_rows"]
